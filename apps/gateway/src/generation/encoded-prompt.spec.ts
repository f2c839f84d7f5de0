import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import { runToEnd } from '@pangalactic/tokenizer';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../models/loaded-model';
import type { LoadedModel } from '../models/loaded-model';
import { EncodedPrompt } from './encoded-prompt';
import type { Prompt } from './prompt';
import { SlicedWork } from '../sliced-work';

const CLIENT = new AbortController().signal;
/** At 14 characters per token at most, this needs 21,429 tokens or more. */
const LONG = 'xq '.repeat(100_000);
const LONG_PROMPTS: [string, Prompt][] = [
  ['text', { kind: 'text', text: LONG }],
  ['messages', { kind: 'chat', messages: [{ role: 'user', content: LONG }] }],
];

let model: LoadedModel;
beforeAll(async () => {
  const { bytes } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
  model = runToEnd(readModel('fingerprint', bytes));
});

describe('EncodedPrompt', () => {
  it.each(LONG_PROMPTS)('leaves the event loop to others while it tokenises long %s', async (_, prompt) => {
    let encoded: readonly number[] | undefined;
    void new EncodedPrompt(prompt, new SlicedWork(), CLIENT).of(model, 1_000_000).then((ids) => (encoded = ids));
    let turns = 0;
    while (!encoded) {
      await nextTurn();
      turns += 1;
    }
    expect(encoded.length).toBeGreaterThan(100_000);
    expect(turns).toBeGreaterThan(5);
  });

  it.each(LONG_PROMPTS)('refuses %s that cannot fit without tokenising it', async (_, prompt) => {
    const encoding = new EncodedPrompt(prompt, new SlicedWork(), CLIENT).of(model, 20_000);
    await expect(encoding).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringContaining('at least 214') as string,
    });
  });

  it('tokenises once for all choices of a request', async () => {
    const prompt = new EncodedPrompt({ kind: 'text', text: 'Hello' }, new SlicedWork(), CLIENT);
    const first = prompt.of(model, 100);
    expect(prompt.of(model, 100)).toBe(first);
    expect(await first).toEqual(model.tokenizer.encode('Hello', { addSpecial: true, parseSpecial: true }));
  });
});
