import { quote } from '../gguf/errors';
import { type MetadataReader, required } from '../gguf/metadata-reader';
import type { ModelShape } from './model-tensors';
import { unsupported } from './unsupported';

/** Rotary position embedding: element pair i of a head turns by `position x ropeTheta^(-2i / headSize)`, scaled. */
export interface Rope {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
}

export interface RopeScaling {
  /** What positions are divided by; 1 where nothing is scaled. */
  readonly factor: number;
  /** Scales slow pairs alone, and the attention with them. */
  readonly yarn?: Yarn;
}

/** https://arxiv.org/abs/2309.00071, with llama.cpp's names. */
export interface Yarn {
  /** Tokens that the model was first trained for. */
  readonly originalContextLength: number;
  /** Pairs that turn more often than this in the original context are not scaled, */
  readonly betaFast: number;
  /** those that turn less often than this entirely. */
  readonly betaSlow: number;
}

const DEFAULT_THETA = 10_000;

export function readRope(metadata: MetadataReader, { architecture, headSize }: ModelShape): Rope {
  const dimensionsKey = `${architecture}.rope.dimension_count`;
  const dimensions = metadata.count(dimensionsKey) ?? headSize;
  if (dimensions !== headSize) {
    throw unsupported(`${dimensionsKey} is ${dimensions}: allowed: the head size (${headSize})`);
  }
  return {
    ropeTheta: metadata.positive(`${architecture}.rope.freq_base`) ?? DEFAULT_THETA,
    ropeScaling: readScaling(metadata, architecture),
  };
}

/** As in llama.cpp, without a type a factor means linear scaling. */
function readScaling(metadata: MetadataReader, architecture: string): RopeScaling {
  const typeKey = `${architecture}.rope.scaling.type`;
  const type = metadata.string(typeKey) ?? 'linear';
  switch (type) {
    case 'none':
      return { factor: 1 };
    case 'linear':
      return { factor: readFactor(metadata, architecture) };
    case 'yarn':
      return { factor: readFactor(metadata, architecture), yarn: readYarn(metadata, architecture) };
    default:
      throw unsupported(`${typeKey} is ${quote(type)}: allowed: none, linear, yarn`);
  }
}

/** By its key, or that of old files. */
function readFactor(metadata: MetadataReader, architecture: string): number {
  for (const key of [`${architecture}.rope.scaling.factor`, `${architecture}.rope.scale_linear`]) {
    // Converters write 0 for "none".
    if (metadata.number(key) === 0) return 1;
    const factor = metadata.positive(key);
    if (factor !== undefined) return factor;
  }
  return 1;
}

function readYarn(metadata: MetadataReader, architecture: string): Yarn {
  const key = (name: string) => `${architecture}.rope.scaling.${name}`;
  for (const name of ['attn_factor', 'yarn_attn_factor', 'yarn_ext_factor', 'yarn_log_multiplier']) {
    const value = metadata.number(key(name)) ?? 1;
    if (value !== 1) throw unsupported(`${key(name)} is ${value}: allowed: 1`);
  }
  const contextKey = `${architecture}.context_length`;
  return {
    originalContextLength:
      metadata.count(key('original_context_length')) ?? required(metadata.count(contextKey), contextKey),
    betaFast: metadata.positive(key('yarn_beta_fast')) ?? 32,
    betaSlow: metadata.positive(key('yarn_beta_slow')) ?? 1,
  };
}
