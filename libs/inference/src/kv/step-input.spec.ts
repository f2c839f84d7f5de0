import { describe, expect, it } from 'vitest';
import type { StepInput } from '../inference-provider';
import { checkStepInput, type StepInputShape } from './step-input';

const rows = [{ slot: 0, generation: 1, start: 0, count: 3, sample: true }];
const head: StepInputShape = { isHead: true, vocabSize: 10, hiddenSize: 4 };
const later: StepInputShape = { ...head, isHead: false };

describe('checkStepInput', () => {
  it('counts the tokens of a good step', () => {
    expect(checkStepInput({ rows, tokenIds: Uint32Array.of(0, 5, 9) }, head)).toBe(3);
    expect(checkStepInput({ rows, hidden: new Float32Array(12) }, later)).toBe(3);
  });

  it.each<[string, StepInput, StepInputShape, RegExp]>([
    ['no ids', { rows }, head, /carries no ids/],
    ['too few ids', { rows, tokenIds: Uint32Array.of(1, 2) }, head, /3 tokens carries 2 ids/],
    [
      'an id beyond the vocabulary',
      { rows, tokenIds: Uint32Array.of(1, 2, 10) },
      head,
      /token id 10: allowed are 0 to 9/,
    ],
    ['no hidden states', { rows }, later, /carries no hidden values, not 3 x 4/],
    ['a short buffer', { rows, hidden: new Float32Array(11) }, later, /carries 11 hidden values/],
    ['ids after the head', { rows, tokenIds: Uint32Array.of(1, 2, 3) }, later, /no hidden values/],
  ])('refuses %s', (_case, step, shape, message) => {
    expect(() => checkStepInput(step, shape)).toThrow(
      expect.objectContaining({ code: 'invalid_frame', message: expect.stringMatching(message) as string }),
    );
  });
});
