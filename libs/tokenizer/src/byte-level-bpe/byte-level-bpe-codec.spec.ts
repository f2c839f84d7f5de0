import { PangalacticError } from '@pangalactic/contracts';
import type { GgufValue } from '@pangalactic/models';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelTokenizer } from '../model-tokenizer';
import { StreamDetokenizer } from '../stream-detokenizer';
import { TokenKind } from '../vocabulary';
import { byteLevelHeader } from '../vocabulary.fixture';

const PLAIN = { addSpecial: false, parseSpecial: false };
const PARSED = { addSpecial: false, parseSpecial: true };

/** The definition, without any data structure: merge the pair of the lowest rank, the leftmost of equals, until there is none. */
function encodeByDefinition(word: string, merges: readonly string[]): string[] {
  const symbols = [...word];
  for (;;) {
    const ranks = symbols.slice(1).map((right, left) => merges.indexOf(`${symbols[left]} ${right}`));
    const known = ranks.filter((rank) => rank >= 0);
    if (known.length === 0) return symbols;
    const left = ranks.indexOf(Math.min(...known));
    symbols.splice(left, 2, symbols[left]! + symbols[left + 1]!);
  }
}

/** Tokens by their names in the vocabulary. */
function names(tokenizer: ModelTokenizer, text: string, options = PLAIN): string[] {
  return tokenizer.encode(text, options).map((id) => tokenizer.tokenText(id));
}

const letters = fc.constantFrom('a', 'b', 'c');
const symbol = fc.string({ unit: letters, minLength: 1, maxLength: 3 });
const mergeLists = fc.uniqueArray(
  fc.tuple(symbol, symbol).map((pair) => pair.join(' ')),
  { minLength: 1, maxLength: 20 },
);

describe('byte-level BPE', () => {
  it('merges in the defined order, whatever the merges', () => {
    fc.assert(
      fc.property(mergeLists, fc.string({ unit: letters, maxLength: 30 }), (merges, text) => {
        const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader(merges));
        expect(names(tokenizer, text)).toEqual(encodeByDefinition(text, merges));
      }),
      { numRuns: 500 },
    );
  });

  it('cuts words first: nothing merges across them', () => {
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader(['a Ġ', 'Ġ b', 'b !', '1 2']));
    expect(names(tokenizer, 'a b!12')).toEqual(['a', ' b', '!', '12']);
  });

  it('counts the first of a merge listed twice', () => {
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader(['a b', 'b c', 'a b']));
    expect(names(tokenizer, 'abc')).toEqual(['ab', 'c']);
  });

  it('ignores merges for whole words where the pre-tokeniser says so', () => {
    const options = { words: ['hello', 'Ġhello'] };
    const metadata = { 'tokenizer.ggml.pre': 'llama-bpe' };
    const ignoring = ModelTokenizer.fromGguf(byteLevelHeader(['h e'], { ...options, metadata }));
    expect(names(ignoring, 'hello hello hellos')).toEqual(['hello', ' hello', ' ', 'he', 'l', 'l', 'o', 's']);
    const obeying = ModelTokenizer.fromGguf(byteLevelHeader(['h e'], options));
    expect(names(obeying, 'hello')).toEqual(['he', 'l', 'l', 'o']);
  });

  it('adds the beginning and end that the metadata or the pre-tokeniser wants', () => {
    const ids = { 'tokenizer.ggml.bos_token_id': 256, 'tokenizer.ggml.eos_token_id': 257 };
    const encode = (metadata: Record<string, string | boolean>) =>
      ModelTokenizer.fromGguf(byteLevelHeader([], { metadata: { ...ids, ...metadata } })).encode('', {
        addSpecial: true,
        parseSpecial: true,
      });
    expect(encode({})).toEqual([]);
    expect(encode({ 'tokenizer.ggml.pre': 'llama-bpe' })).toEqual([256]);
    expect(encode({ 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.add_bos_token': false })).toEqual([]);
    expect(encode({ 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.add_eos_token': true })).toEqual([256, 257]);
  });

  it('has no beginning where the metadata names none', () => {
    const metadata = { 'tokenizer.ggml.pre': 'llama-bpe' };
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader([], { metadata }));
    expect(tokenizer.bosId).toBeUndefined();
    expect(tokenizer.encode('', { addSpecial: true, parseSpecial: true })).toEqual([]);
  });

  it('spells what merges into no token', () => {
    const header = byteLevelHeader(['a b', 'ab c']);
    const tokens = (header.metadata.get('tokenizer.ggml.tokens') as string[]).map((token) =>
      token === 'ab' || token === 'b' ? `[${token}]` : token,
    );
    const tokenizer = ModelTokenizer.fromGguf({
      ...header,
      metadata: new Map([...header.metadata, ['tokenizer.ggml.tokens', tokens]]),
    });
    expect(names(tokenizer, 'abc')).toEqual(['abc']);
    expect(names(tokenizer, 'ab')).toEqual(['a']);
  });

  it('reads control texts only when asked to, user-defined ones always', () => {
    const special = [['<|im_end|>'], ['<think>', TokenKind.UserDefined], ['<|fim_suffix|>', TokenKind.Normal]] as const;
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader([], { special }));
    expect(tokenizer.controlTexts).toEqual(['<|fim_suffix|>', '<|im_end|>']);
    expect(names(tokenizer, 'a<|im_end|>', PARSED)).toEqual(['a', '<|im_end|>']);
    expect(names(tokenizer, '<|im_end|>')).toEqual([...'<|im_end|>']);
    expect(names(tokenizer, '<|fim_suffix|>')).toEqual([...'<|fim_suffix|>']);
    expect(names(tokenizer, '<think>')).toEqual(['<think>']);
  });

  it('gives back any text, all at once and token by token in whole characters', () => {
    const merges = ['Ã ©', 'æ Ĺ', 'ð Ł', 'Ġ a', 'a b', 'ðŁ ĺ'];
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader(merges));
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('é', '日', '😀', ' a', 'b', '</s>') }),
    );
    fc.assert(
      fc.property(text, (sample) => {
        const ids = tokenizer.encode(sample, PLAIN);
        expect(tokenizer.decode(ids)).toBe(sample);
        const stream = new StreamDetokenizer(tokenizer);
        const parts = [...ids.map((id) => stream.push(id)), stream.flush()];
        expect(parts.join('')).toBe(sample);
        for (const part of parts) expect(Buffer.from(part).toString()).toBe(part);
      }),
    );
  });

  it('shows no control tokens, and tokens outside the alphabet as they are', () => {
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader([], { words: ['日本 語'] }));
    const [word, control] = [256, 257];
    expect(tokenizer.decode([word, control])).toBe('日本 語');
    expect(tokenizer.tokenText(control)).toBe('<s>');
  });

  it.each(['x', '漢', ' ', '\n', 'A', '<', 'aB', '1'])('takes about linear time for one endless word: %j', (unit) => {
    const tokenizer = ModelTokenizer.fromGguf(byteLevelHeader(['x x', 'xx xx', 'Ġ Ġ', 'a B', '< <', '1 1']));
    const text = unit.repeat(200_000);
    let steps = 0;
    for (const encoding = tokenizer.encodeInSteps(text, PLAIN); !encoding.next().done;) steps += 1;
    expect(steps).toBeGreaterThan(text.length / 512);
  });

  it.each<[string, Record<string, GgufValue | undefined>, string, RegExp]>([
    [
      'an unknown pre-tokeniser',
      { 'tokenizer.ggml.pre': 'kimi-k2' },
      'unsupported_tokenizer',
      /pre is "kimi-k2": allowed: def/,
    ],
    ['no merges', { 'tokenizer.ggml.merges': undefined }, 'corrupt_model_file', /merges is missing/],
    [
      'merges that are no texts',
      { 'tokenizer.ggml.merges': [1] },
      'corrupt_model_file',
      /merges is .*: allowed: a list of/,
    ],
  ])('refuses %s', (_, changes, code, message) => {
    const header = byteLevelHeader([]);
    const metadata = new Map(header.metadata);
    for (const [key, value] of Object.entries(changes)) {
      if (value === undefined) metadata.delete(key);
      else metadata.set(key, value);
    }
    const failure = failureOf(() => ModelTokenizer.fromGguf({ ...header, metadata }));
    expect(failure.code).toBe(code);
    expect(failure.message).toMatch(message);
  });
});

function failureOf(action: () => unknown): PangalacticError {
  try {
    action();
  } catch (error) {
    if (error instanceof PangalacticError) return error;
    throw error;
  }
  throw new Error('nothing failed');
}
