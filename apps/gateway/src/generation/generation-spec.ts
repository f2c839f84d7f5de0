import { randomBytes } from 'node:crypto';
import type { Sampling } from '@pangalactic/contracts';
import type { GenerationOptions } from '../openai/requests/generation-fields';
import type { PromptPrefix } from '../routing/prefix-memory';
import type { Prompt } from './prompt';
import { promptPrefixes } from './prompt-prefixes';

/** Completions to make of one prompt, independent of the endpoint that asked for it. */
export interface GenerationSpec {
  readonly model: string;
  readonly prompt: Prompt;
  /** Of the prompt, from the shortest to the longest: where it goes depends on who has computed them. */
  readonly prefixes: readonly PromptPrefix[];
  readonly sampling: Sampling;
  /** How many; each is a sequence of its own with draws of its own. */
  readonly choices: number;
  /** Drawn once per request: every attempt of it makes the same draws. */
  readonly seed: number;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
}

export function generationSpec(options: GenerationOptions, prompt: Prompt): GenerationSpec {
  const { model, sampling, choices, maxTokens, stop, seed = randomSeed() } = options;
  const prefixes = promptPrefixes(model, prompt);
  return { model, prompt, prefixes, sampling, choices, seed, maxTokens, stop };
}

/** 53 bits: what a double holds exactly. */
function randomSeed(): number {
  return Number(BigInt.asUintN(53, randomBytes(8).readBigUInt64LE()));
}
