import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';

export interface GoldenCase {
  readonly messages: { readonly role: 'user' | 'system' | 'assistant'; readonly content: string }[];
  readonly prompt_text: string;
  readonly prompt_ids: number[];
  readonly greedy_ids: number[];
  readonly text: string;
}

interface Golden {
  readonly eos_token_id: number;
  readonly cases: GoldenCase[];
}

/** Recorded prompts and answers of the embedded model. */
export function goldenCase(index: number): GoldenCase & { readonly completionIds: number[] } {
  const file = join(repositoryRoot(), 'models', 'golden', 'golden-q8_0.json');
  const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden;
  const found = golden.cases[index];
  if (!found) throw new Error(`${file} has no case ${index}`);
  return { ...found, completionIds: found.greedy_ids.filter((id) => id !== golden.eos_token_id) };
}
