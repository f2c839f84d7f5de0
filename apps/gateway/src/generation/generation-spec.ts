import { randomBytes } from 'node:crypto';
import type { Sampling } from '@pangalactic/contracts';
import type { GenerationOptions } from '../openai/requests/generation-fields';
import type { Prompt } from './prompt';

/** One completion to make, independent of the endpoint that asked for it. */
export interface GenerationSpec {
  readonly model: string;
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  /** Drawn once per request: every attempt of it makes the same draws. */
  readonly seed: number;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
}

export function generationSpec(options: GenerationOptions, prompt: Prompt): GenerationSpec {
  const { model, temperature, topP, maxTokens, stop, seed = randomSeed() } = options;
  return { model, prompt, sampling: { temperature, topP }, seed, maxTokens, stop };
}

/** 53 bits: what a double holds exactly. */
function randomSeed(): number {
  return Number(BigInt.asUintN(53, randomBytes(8).readBigUInt64LE()));
}
