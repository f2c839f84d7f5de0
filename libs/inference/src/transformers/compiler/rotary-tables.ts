import { PangalacticError } from '@pangalactic/contracts';
import type { ModelDescription, Yarn } from '@pangalactic/models';

/** Cosines and sines of every position, each [positions, headSize / 2]. */
export interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly positions: number;
}

type RotaryModel = Pick<ModelDescription, 'headSize' | 'ropeTheta' | 'ropeScaling'>;

/**
 * How far element i of the first half of a head turns with element i of the second.
 * @param factors what the frequencies are divided by where the model has such a tensor (Llama 3.1)
 * @throws PangalacticError `corrupt_model_file` if a factor is no number above 0
 */
export function rotaryTables(model: RotaryModel, positions: number, factors?: Float32Array): RotaryTables {
  const half = model.headSize / 2;
  const frequencies = rotaryFrequencies(model, factors);
  const magnitude = rotaryMagnitude(model);
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      cos[position * half + i] = Math.cos(angle) * magnitude;
      sin[position * half + i] = Math.sin(angle) * magnitude;
    }
  }
  return { cos, sin, positions };
}

/** theta^(-2i / headSize), over the factor and the scaling; YaRN scales the more of it the slower the pair turns. */
function rotaryFrequencies(model: RotaryModel, factors: Float32Array | undefined): number[] {
  const { headSize, ropeTheta, ropeScaling } = model;
  return Array.from({ length: headSize / 2 }, (_, i) => {
    const factor = factors?.[i] ?? 1;
    if (!(factor > 0 && factor < Infinity)) {
      throw new PangalacticError('corrupt_model_file', `rotary factor ${i} is ${factor}: allowed: numbers above 0`);
    }
    const frequency = Math.pow(ropeTheta, (-2 * i) / headSize) / factor;
    const kept = ropeScaling.yarn ? unscaledShare(model, ropeScaling.yarn, i) : 0;
    return frequency * (kept + (1 - kept) / ropeScaling.factor);
  });
}

/** Of pair i, from 1 for those that turn often in the original context to 0: the ramp of llama.cpp's rope_yarn. */
function unscaledShare({ headSize, ropeTheta }: RotaryModel, yarn: Yarn, i: number): number {
  const pairTurning = (turns: number) =>
    (headSize * Math.log(yarn.originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(ropeTheta));
  const low = Math.max(0, Math.floor(pairTurning(yarn.betaFast)));
  const high = Math.min(headSize - 1, Math.ceil(pairTurning(yarn.betaSlow)));
  return 1 - Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)));
}

/** YaRN makes up for attention that is spread over more positions. */
function rotaryMagnitude({ ropeScaling: { factor, yarn } }: RotaryModel): number {
  return yarn ? 1 + 0.1 * Math.log(factor) : 1;
}
