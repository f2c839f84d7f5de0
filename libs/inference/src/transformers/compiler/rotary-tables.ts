import { PangalacticError } from '@pangalactic/contracts';
import type { ModelDescription } from '@pangalactic/models';

/** Cosines and sines of every position, each [positions, headSize / 2]. */
export interface RotaryTables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly positions: number;
}

/**
 * Element i of the first half of a head turns with element i of the second by position / scaling x theta^(-2i / headSize),
 * divided by the i-th factor where the model has some (Llama 3.1).
 * @throws PangalacticError `corrupt_model_file` if a factor is no number above 0
 */
export function rotaryTables(
  { headSize, ropeTheta, ropeScaling }: Pick<ModelDescription, 'headSize' | 'ropeTheta' | 'ropeScaling'>,
  positions: number,
  factors?: Float32Array,
): RotaryTables {
  const half = headSize / 2;
  const frequencies = Array.from({ length: half }, (_, i) => {
    const factor = factors?.[i] ?? 1;
    if (!(factor > 0 && factor < Infinity)) {
      throw new PangalacticError('corrupt_model_file', `rotary factor ${i} is ${factor}: allowed: numbers above 0`);
    }
    return Math.pow(ropeTheta, (-2 * i) / headSize) / (factor * ropeScaling);
  });
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin, positions };
}
