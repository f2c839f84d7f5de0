import type { LayerRange, ModelInfo } from '@pangalactic/contracts';

/** Share of a node's memory that pipelines may take; the rest is for the runtime, the page cache and our own error. */
export const MEMORY_HEADROOM = 0.85;

/**
 * Tokens per prefill step while nobody decodes: the most that a step has, so it bounds the activations. The engine is at
 * full speed from 64 on, but each step costs a little.
 */
export const PREFILL_CHUNK_TOKENS = 128;
const FLOAT_BYTES = 4;
/** Upper bound on feed_forward_size / hidden_size (Qwen2.5 1.5B: 5.8); ModelInfo does not carry the exact width. */
const FEED_FORWARD_RATIO = 6;

export interface SequenceLimits {
  /** Tokens a sequence may hold. */
  readonly contextLength: number;
  /** KV slots. */
  readonly maxSequences: number;
}

export type ModelSizes = Pick<
  ModelInfo,
  | ('layers' | 'layerBytes' | 'embeddingBytes' | 'outputBytes')
  | ('hiddenSize' | 'vocabSize' | 'heads' | 'kvHeads' | 'headSize')
>;

/** Bytes that one stage takes on its node. */
export interface StageMemory {
  readonly weights: number;
  readonly kv: number;
  readonly workspace: number;
  readonly total: number;
}

/** What the stage that holds `layers` costs: what the planner counts on and what a loaded shard reports. */
export function stageMemory(model: ModelSizes, layers: LayerRange, limits: SequenceLimits): StageMemory {
  const isHead = layers.from === 0;
  const isTail = layers.to === model.layers;
  let weights = (isHead ? model.embeddingBytes : 0) + (isTail ? model.outputBytes : 0);
  for (let layer = layers.from; layer < layers.to; layer++) weights += model.layerBytes[layer] ?? 0;
  const kv = (layers.to - layers.from) * limits.maxSequences * slotBytes(model, limits.contextLength);
  const workspace = workspaceBytes(model, limits, isTail);
  return { weights, kv, workspace, total: weights + kv + workspace };
}

/** K and V of one sequence in one layer. */
function slotBytes(model: ModelSizes, contextLength: number): number {
  return contextLength * model.kvHeads * model.headSize * 2 * FLOAT_BYTES;
}

/** Layers of a stage run one after another, so the scratch of one layer serves them all. */
function workspaceBytes(model: ModelSizes, limits: SequenceLimits, isTail: boolean): number {
  const scoredRows = Math.max(PREFILL_CHUNK_TOKENS, limits.maxSequences);
  const attentionScores = model.heads * scoredRows * limits.contextLength * FLOAT_BYTES;
  // Residual, norm and block output; q, k, v and the attention's output; gate, up and their product.
  const activationWidth =
    3 * model.hiddenSize +
    2 * (model.heads + model.kvHeads) * model.headSize +
    3 * FEED_FORWARD_RATIO * model.hiddenSize;
  const activations = PREFILL_CHUNK_TOKENS * activationWidth * FLOAT_BYTES;
  const logits = isTail ? limits.maxSequences * model.vocabSize * FLOAT_BYTES : 0;
  return attentionScores + activations + logits;
}
