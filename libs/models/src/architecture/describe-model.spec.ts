import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { MATRIX_TYPES } from '../gguf/engine-format';
import { describeTypes, GgmlType } from '../gguf/ggml-type';
import { type GgufHeader, type GgufTensor, parseGgufHeader } from '../gguf/gguf-header';
import type { GgufValue } from '../gguf/gguf-value';
import { describeModel } from './describe-model';

const nano = parseGgufHeader(
  readFileSync(join(repositoryRoot(), 'models', 'pangalactic-nano.gguf')).subarray(0, 60_000),
);

/** The embedded model's header with some metadata set, or removed where undefined. */
function withMetadata(changes: Record<string, GgufValue | undefined>, header = nano): GgufHeader {
  const metadata = new Map(header.metadata);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  }
  return { ...header, metadata };
}

function withTensor(name: string, change: Partial<GgufTensor> | undefined): GgufHeader {
  const tensors = new Map(nano.tensors);
  const like = tensors.get(name) ?? tensors.get('token_embd.weight')!;
  if (change) tensors.set(name, { ...like, name, ...change });
  else tensors.delete(name);
  return { ...nano, tensors };
}

describe('describeModel', () => {
  it('describes the embedded model', () => {
    expect(describeModel(nano)).toEqual({
      architecture: 'llama',
      name: 'pangalactic-nano',
      layers: 8,
      hiddenSize: 192,
      feedForwardSize: 512,
      heads: 6,
      kvHeads: 2,
      headSize: 32,
      vocabSize: 2048,
      contextLength: 512,
      ropeTheta: 10_000,
      ropeScaling: { factor: 1 },
      ropeFactors: false,
      rmsEpsilon: Math.fround(1e-5),
      tiedEmbeddings: true,
      endOfGenerationIds: [2],
      bosId: 1,
      addBos: false,
    });
  });

  it('falls back to what the format says for keys that are absent', () => {
    const header = withMetadata({
      'general.name': undefined,
      'llama.rope.dimension_count': undefined,
      'llama.rope.freq_base': undefined,
      'tokenizer.ggml.add_bos_token': undefined,
    });
    expect(describeModel(header)).toMatchObject({ name: '', ropeTheta: 10_000, addBos: true });
  });

  it('has an output head of its own if the file has one', () => {
    expect(describeModel(withTensor('output.weight', { shape: [192, 2048] })).tiedEmbeddings).toBe(false);
  });

  it('takes norms in F16 and matrices in each supported type', () => {
    expect(describeModel(withTensor('blk.0.attn_norm.weight', { type: GgmlType.F16 })).layers).toBe(8);
    for (const type of MATRIX_TYPES) {
      expect(describeModel(withTensor('blk.7.ffn_down.weight', { type })).layers).toBe(8);
    }
  });

  it('takes rope scaling that scales nothing', () => {
    const harmless = [{ type: 'none', factor: 8 }, { factor: 1 }, { factor: 0 }] as const;
    for (const scaling of harmless) {
      const changes = Object.fromEntries(
        Object.entries(scaling).map(([key, value]) => [`llama.rope.scaling.${key}`, value]),
      );
      expect(describeModel(withMetadata(changes)).ropeScaling).toEqual({ factor: 1 });
    }
  });

  it.each([
    ['a factor', { 'llama.rope.scaling.factor': 4 }, 4],
    ['a factor and its type', { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': 4 }, 4],
    ['the key of old files', { 'llama.rope.scale_linear': 2 }, 2],
    ['a type without a factor', { 'llama.rope.scaling.type': 'linear' }, 1],
  ])('takes linear rope scaling by %s', (_name, changes, scaling) => {
    expect(describeModel(withMetadata(changes))).toMatchObject({ ropeScaling: { factor: scaling } });
  });

  it('takes YaRN, with the context length for the original one where that is not told', () => {
    const scaling = { 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.factor': 4 };
    const yarn = { originalContextLength: 512, betaFast: 32, betaSlow: 1 };
    expect(describeModel(withMetadata(scaling)).ropeScaling).toEqual({ factor: 4, yarn });
    const told = {
      ...scaling,
      'llama.rope.scaling.original_context_length': 128,
      'llama.rope.scaling.yarn_beta_slow': 2,
    };
    expect(describeModel(withMetadata(told)).ropeScaling.yarn).toEqual({
      ...yarn,
      originalContextLength: 128,
      betaSlow: 2,
    });
  });

  it('takes the rope factors of Llama 3.1', () => {
    const factors = withTensor('rope_freqs.weight', { shape: [16], type: GgmlType.F32 });
    expect(describeModel(factors).ropeFactors).toBe(true);
  });

  it.each([
    ['is shorter', 256, 256],
    ['is longer', 4096, 512],
    ['is none', 0, 512],
  ])('has the context length of a sliding window where that %s', (_name, window, contextLength) => {
    const header = withMetadata({ 'llama.attention.sliding_window': window });
    expect(describeModel(header).contextLength).toBe(contextLength);
  });

  it.each<[string, GgufHeader, string]>([
    [
      'another architecture',
      withMetadata({ 'general.architecture': 'gemma3' }),
      '"gemma3": allowed: llama, qwen2, qwen3',
    ],
    ['a name of every object', withMetadata({ 'general.architecture': 'constructor' }), 'architecture "constructor"'],
    [
      'other rope scaling',
      withMetadata({ 'llama.rope.scaling.type': 'longrope' }),
      '"longrope": allowed: none, linear, yarn',
    ],
    [
      'other YaRN',
      withMetadata({ 'llama.rope.scaling.type': 'yarn', 'llama.rope.scaling.attn_factor': 2 }),
      'llama.rope.scaling.attn_factor is 2: allowed: 1',
    ],
    ['partial rotation', withMetadata({ 'llama.rope.dimension_count': 16 }), 'llama.rope.dimension_count is 16'],
    ['experts', withMetadata({ 'llama.expert_count': 8 }), 'llama.expert_count is 8'],
    ['endless layers', withMetadata({ 'llama.block_count': 513 }), 'llama.block_count is 513: allowed: 512 at most'],
    ['other values', withMetadata({ 'llama.attention.value_length': 64 }), 'value_length is 64'],
    ['one part of several', withMetadata({ 'split.count': 3 }), 'one of the 3 parts of a split model'],
    ['a bias', withTensor('blk.0.attn_q.bias', { shape: [192] }), '"blk.0.attn_q.bias" is not part of the llama arch'],
    [
      'a head of odd size',
      withMetadata({ 'llama.attention.key_length': 40 }),
      'the head size is 40: allowed: multiples of 16',
    ],
  ])('does not support %s', (_name, header, message) => {
    expect(() => describeModel(header)).toThrow(
      expect.objectContaining({
        code: 'unsupported_architecture',
        message: expect.stringContaining(message) as string,
      }),
    );
  });

  it.each([
    ['another tokenizer', { model: 'bert' }, 'tokenizer.ggml.model is "bert": allowed: llama, gpt2'],
    ['no tokenizer', { model: undefined }, 'tokenizer.ggml.model is missing: allowed: llama, gpt2'],
    [
      'another pre-tokenizer',
      { model: 'gpt2', pre: 'kimi-k2' },
      'tokenizer.ggml.pre is "kimi-k2": allowed: default, gpt-2',
    ],
  ])('does not support %s', (_name, tokenizer, message) => {
    const changes = Object.fromEntries(
      Object.entries(tokenizer).map(([key, value]) => [`tokenizer.ggml.${key}`, value]),
    );
    expect(() => describeModel(withMetadata(changes))).toThrow(
      expect.objectContaining({ code: 'unsupported_tokenizer', message: expect.stringContaining(message) as string }),
    );
  });

  it.each<[string, GgufHeader, string]>([
    ['a matrix', withTensor('blk.3.attn_v.weight', { type: GgmlType.Q3_K }), describeTypes(MATRIX_TYPES)],
    ['the embedding', withTensor('token_embd.weight', { type: GgmlType.IQ4_NL }), describeTypes(MATRIX_TYPES)],
    ['a norm', withTensor('output_norm.weight', { type: GgmlType.Q8_0 }), 'F32, F16, BF16'],
  ])('names an unsupported type of %s', (_name, header, allowed) => {
    const [name, tensor] = [...header.tensors].find(([key, value]) => value.type !== nano.tensors.get(key)?.type)!;
    expect(() => describeModel(header)).toThrow(
      expect.objectContaining({
        code: 'unsupported_tensor_type',
        message: `tensor "${name}" has type ${GgmlType[tensor.type]}: allowed: ${allowed}`,
      }),
    );
  });

  it.each<[string, GgufHeader, string]>([
    ['no architecture', withMetadata({ 'general.architecture': undefined }), 'general.architecture is missing'],
    ['no layers', withMetadata({ 'llama.block_count': undefined }), 'llama.block_count is missing'],
    ['no epsilon', withMetadata({ 'llama.attention.layer_norm_rms_epsilon': undefined }), 'rms_epsilon is missing'],
    ['no context', withMetadata({ 'llama.context_length': undefined }), 'llama.context_length is missing'],
    ['odd heads', withMetadata({ 'llama.attention.head_count_kv': 4 }), '6 heads cannot share 4 key/value heads'],
    ['a fractional head', withMetadata({ 'llama.attention.head_count': 7, 'llama.attention.head_count_kv': 7 }), '192'],
    ['a missing tensor', withTensor('blk.5.ffn_up.weight', undefined), 'tensor "blk.5.ffn_up.weight" is missing'],
    ['fewer layers than said', withMetadata({ 'llama.block_count': 9 }), 'tensor "blk.8.attn_norm.weight" is missing'],
    [
      'a negative scaling',
      withMetadata({ 'llama.rope.scaling.factor': -1 }),
      'factor is -1: allowed: a number above 0',
    ],
    [
      'a negative window',
      withMetadata({ 'llama.attention.sliding_window': -1 }),
      'sliding_window is -1: allowed: a whole',
    ],
    ['too few rope factors', withTensor('rope_freqs.weight', { shape: [8] }), 'shape [8], expected [16]'],
    [
      'a wrong shape',
      withTensor('blk.0.attn_k.weight', { shape: [192, 192] }),
      'has shape [192, 192], expected [192, 64]',
    ],
    ['a wrong rank', withTensor('output_norm.weight', { shape: [192, 1] }), 'has shape [192, 1], expected [192]'],
    ['no vocabulary', withMetadata({ 'tokenizer.ggml.tokens': undefined }), 'tokenizer.ggml.tokens is missing'],
    ['a wrong vocabulary', withMetadata({ 'tokenizer.ggml.tokens': ['a'] }), 'expected [192, 1]'],
  ])('finds a file with %s corrupt', (_name, header, message) => {
    expect(() => describeModel(header)).toThrow(
      expect.objectContaining({ code: 'corrupt_model_file', message: expect.stringContaining(message) as string }),
    );
  });

  it('has as many key/value heads as heads if the file does not say', () => {
    const header = withMetadata({ 'llama.attention.head_count_kv': undefined });
    expect(() => describeModel(header)).toThrow('"blk.0.attn_k.weight" has shape [192, 64], expected [192, 192]');
  });
});

describe('special tokens', () => {
  const tokens = nano.metadata.get('tokenizer.ggml.tokens') as string[];
  const renamed = (changes: Record<number, string>) => tokens.map((text, id) => changes[id] ?? text);

  it('end a generation by id and by text', () => {
    const header = withMetadata({
      'tokenizer.ggml.eos_token_id': 7,
      'tokenizer.ggml.eot_token_id': 5,
      'tokenizer.ggml.eom_token_id': 7,
      'tokenizer.ggml.tokens': renamed({ 2: 'x', 100: '<|eot_id|>', 90: '<end_of_turn>' }),
    });
    expect(describeModel(header).endOfGenerationIds).toEqual([5, 7, 90, 100]);
  });

  it('have defaults where their id is none of the vocabulary', () => {
    for (const id of [-1, 2048, 2 ** 32 - 1, 1.5]) {
      const changes = { 'tokenizer.ggml.bos_token_id': id, 'tokenizer.ggml.tokens': renamed({ 2: 'x' }) };
      const model = describeModel(
        withMetadata({ ...changes, 'tokenizer.ggml.eos_token_id': id, 'tokenizer.ggml.eot_token_id': id }),
      );
      expect(model).toMatchObject({ bosId: 1, endOfGenerationIds: [2] });
    }
  });

  it('of a SentencePiece vocabulary have defaults', () => {
    const header = withMetadata({
      'tokenizer.ggml.bos_token_id': undefined,
      'tokenizer.ggml.eos_token_id': undefined,
      'tokenizer.ggml.eot_token_id': undefined,
      'tokenizer.ggml.tokens': renamed({ 2: '</s>' }),
    });
    expect(describeModel(header)).toMatchObject({ bosId: 1, endOfGenerationIds: [2] });
  });
});
