import { PangalacticError } from '@pangalactic/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChatRequest } from './chat-request';
import { parseCompletionRequest } from './completion-request';
import { invalidField } from './validation';

/** As JSON.parse makes them of a body of some 100 KB: JSON.stringify and every other recursion over them overflow. */
const nestedArray = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as unknown;
const nestedObject = JSON.parse('{"a":'.repeat(20_000) + '1' + '}'.repeat(20_000)) as unknown;
const NESTED = { nestedArray, nestedObject, inside: [{ type: nestedArray }] };

const FIELDS = [
  ...['messages', 'prompt', 'model', 'stop', 'temperature', 'n', 'seed', 'stream', 'stream_options', 'logprobs'],
  ...['logit_bias', 'top_k', 'tools', 'tool_choice', 'functions', 'response_format', 'modalities', 'suffix', 'unknown'],
];

function refusalOf(parse: (body: unknown) => unknown, body: unknown): PangalacticError | undefined {
  try {
    parse(body);
    return undefined;
  } catch (error) {
    if (error instanceof PangalacticError && error.row.http === 400) return error;
    throw error;
  }
}

describe('the value in an error message', () => {
  it('is its JSON, cut after 60 characters', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value);
        const shown = json.length <= 60 ? json : `${json.slice(0, 60)}...`;
        expect(invalidField('x', 'good', value).message).toBe(`'x' must be good, not ${shown}.`);
      }),
      { numRuns: 1000 },
    );
  });

  it('may be nested as deeply as a body can be', () => {
    expect(invalidField('x', 'good', nestedArray).message).toBe(`'x' must be good, not ${'['.repeat(60)}....`);
    expect(invalidField('x', 'good', nestedObject).message).toMatch(/^'x' must be good, not (\{"a":){12}\.\.\.\.$/);
  });
});

describe.each([
  ['chat completions', parseChatRequest, { model: 'm', messages: [{ role: 'user', content: 'Hi' }] }],
  ['completions', parseCompletionRequest, { model: 'm', prompt: 'Hi' }],
])('a request for %s is accepted or refused with 400', (_, parse, good) => {
  it.each(Object.entries(NESTED))('with any field deeply nested: %s', (_name, value) => {
    refusalOf(parse, value);
    for (const field of FIELDS) {
      const refusal = refusalOf(parse, { ...good, [field]: value });
      if (refusal) expect(refusal.message.length).toBeLessThan(300);
    }
    for (const content of [value, [value], [{ type: value }], [{ type: 'text', text: value }]]) {
      refusalOf(parse, { ...good, messages: [{ role: 'user', content }], prompt: content });
      refusalOf(parse, { ...good, messages: [{ role: content, content: '', tool_calls: content }] });
    }
  });

  it('with any field of any value', () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(nestedArray, nestedObject));
    const body = fc.dictionary(fc.constantFrom(...FIELDS), value);
    fc.assert(
      fc.property(fc.oneof(body, value), (fields) => {
        refusalOf(parse, fields);
        if (typeof fields === 'object' && !Array.isArray(fields)) refusalOf(parse, { ...good, ...fields });
      }),
      { numRuns: 2000 },
    );
  });
});
