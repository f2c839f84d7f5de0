import { quote } from '../gguf/errors';
import type { MetadataReader } from '../gguf/metadata-reader';
import type { ModelShape } from './model-tensors';
import { unsupported } from './unsupported';

/** Rotary position embedding: element pair i of a head turns by `position / ropeScaling x ropeTheta^(-2i / headSize)`. */
export interface Rope {
  readonly ropeTheta: number;
  /** Positions are divided by it (linear scaling); 1 where nothing is scaled. */
  readonly ropeScaling: number;
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

/** As in llama.cpp: without a type a factor means linear scaling, and it may have the key of old files. */
function readScaling(metadata: MetadataReader, architecture: string): number {
  const typeKey = `${architecture}.rope.scaling.type`;
  const type = metadata.string(typeKey) ?? 'linear';
  if (type === 'none') return 1;
  if (type !== 'linear') throw unsupported(`${typeKey} is ${quote(type)}: allowed: none, linear`);
  for (const key of [`${architecture}.rope.scaling.factor`, `${architecture}.rope.scale_linear`]) {
    // Converters write 0 for "none".
    if (metadata.number(key) === 0) return 1;
    const factor = metadata.positive(key);
    if (factor !== undefined) return factor;
  }
  return 1;
}
