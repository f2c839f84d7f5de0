import { hash } from 'node:crypto';
import type { PromptPrefix } from '../routing/prefix-memory';
import type { Prompt } from './prompt';

/** So much of a text or of a list of tokens is one part. */
const TEXT_PART = 1_024;
const TOKEN_PART = 256;
/** The first part, which many conversations share, and the last ones, where turns are added. */
const LAST_PARTS = 8;

/** The beginnings of a prompt that another one may share: up to each message of a chat, up to each block of a text. */
export function promptPrefixes(modelId: string, prompt: Prompt): PromptPrefix[] {
  const parts = partsOf(prompt);
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  let key = modelId;
  let length = 0;
  const prefixes = parts.map((part): PromptPrefix => {
    length += part.length;
    // Only to compare: a prompt's text is not kept.
    key = hash('sha1', `${key} ${part}`, 'base64');
    return { key, share: length / total };
  });
  return prefixes.length <= LAST_PARTS ? prefixes : [prefixes[0]!, ...prefixes.slice(-LAST_PARTS)];
}

function partsOf(prompt: Prompt): string[] {
  switch (prompt.kind) {
    case 'chat':
      return prompt.messages.map((message) => JSON.stringify(message));
    case 'text':
      return inBlocks(prompt.text.length, TEXT_PART).map(([from, to]) => prompt.text.slice(from, to));
    case 'tokens':
      return inBlocks(prompt.ids.length, TOKEN_PART).map(([from, to]) => prompt.ids.slice(from, to).join());
  }
}

function inBlocks(length: number, size: number): [from: number, to: number][] {
  return Array.from({ length: Math.ceil(length / size) }, (_, index) => [
    index * size,
    Math.min(length, (index + 1) * size),
  ]);
}
