import type { LayerRange, ModelInfo } from '@pangalactic/contracts';

/** What a node's engine takes for one model, per byte of weights that it computes with. */
export interface EngineSpeed {
  /** Of a decode step of one sequence. */
  readonly decodeMsPerByte: number;
  /** Of one token of a prompt. */
  readonly prefillMsPerByte: number;
}

/** From one node to another. */
export interface Link {
  readonly rttMs: number;
  readonly bytesPerMs: number;
}

export type LinkBetween = (fromNodeId: string, toNodeId: string) => Link;

/** Until anything is measured: 10 GB of weights a second, which two cores reach. Only ratios between nodes decide. */
export const ASSUMED_SPEED: EngineSpeed = { decodeMsPerByte: 1e-7, prefillMsPerByte: 1e-8 };
/** Until measured: a quiet local network of 1 Gbit/s. */
export const ASSUMED_LINK: Link = { rttMs: 0.5, bytesPerMs: 125_000 };

/** Hidden states are counted as float32, the most that any format takes. */
const HIDDEN_VALUE_BYTES = 4;
/** Packed weights are read from the disk at about this rate, and are expected to serve so many tokens. */
const LOAD_BYTES_PER_MS = 200_000;
const LOAD_HORIZON_TOKENS = 10_000;

/** Bytes of weights that each token of a stage is computed with: the embedding is looked up, the output head is not. */
export function workBytes(model: ModelInfo, layers: LayerRange): number {
  let bytes = layers.to === model.layers ? model.outputBytes : 0;
  for (let layer = layers.from; layer < layers.to; layer++) bytes += model.layerBytes[layer] ?? 0;
  return bytes;
}

/** What the bytes of one token's hidden states take on the link itself. */
export function sendMs(model: ModelInfo, link: Link): number {
  return (model.hiddenSize * HIDDEN_VALUE_BYTES) / link.bytesPerMs;
}

/** One token's hidden states from stage to stage. */
export function hopMs(model: ModelInfo, link: Link): number {
  return link.rttMs / 2 + sendMs(model, link);
}

/** A load that is due, spread over the tokens that it is for. */
export function loadMsPerToken(missingBytes: number): number {
  return missingBytes / LOAD_BYTES_PER_MS / LOAD_HORIZON_TOKENS;
}

export interface PredictedStage {
  readonly nodeId: string;
  /** Of a decode step of one sequence. */
  readonly computeMs: number;
  /** To the next stage; from the tail back to the head. 0 in a pipeline of one stage. */
  readonly hopMs: number;
}

export interface Prediction {
  readonly stages: readonly PredictedStage[];
  /** Index of the stage that takes longest. */
  readonly bottleneck: number;
  /** One sequence: from token to token. */
  readonly tokenMs: number;
  /** Enough sequences to keep every stage busy, each in a step of its own: from token to token of all of them. */
  readonly busyTokenMs: number;
  /** A long prompt alone: from token to token. Its chunks follow one another through the stages, so the slowest decides. */
  readonly promptTokenMs: number;
}

/** What a pipeline will take per token, stage by stage. */
export function predict(
  model: ModelInfo,
  stages: readonly { readonly nodeId: string; readonly layers: LayerRange; readonly speed: EngineSpeed }[],
  maxSequences: number,
  linkBetween: LinkBetween,
): Prediction {
  const predicted = stages.map(({ nodeId, layers, speed }, index): PredictedStage => {
    const computeMs = speed.decodeMsPerByte * workBytes(model, layers);
    const next = stages[(index + 1) % stages.length]!;
    if (stages.length === 1) return { nodeId, computeMs, hopMs: 0 };
    const link = linkBetween(nodeId, next.nodeId);
    return { nodeId, computeMs, hopMs: index < stages.length - 1 ? hopMs(model, link) : link.rttMs / 2 };
  });
  // The tail sends none.
  const sends = stages.slice(1).map(({ nodeId }, index) => sendMs(model, linkBetween(stages[index]!.nodeId, nodeId)));
  const slowest = Math.max(...predicted.map(({ computeMs }) => computeMs));
  const tokenMs = predicted.reduce((total, stage) => total + stage.computeMs + stage.hopMs, 0);
  return {
    stages: predicted,
    bottleneck: predicted.findIndex(({ computeMs }) => computeMs === slowest),
    tokenMs,
    busyTokenMs: Math.max(slowest, tokenMs / maxSequences),
    promptTokenMs: Math.max(
      ...stages.map(({ layers, speed }) => speed.prefillMsPerByte * workBytes(model, layers)),
      ...sends,
    ),
  };
}

/** The middle of what is known, the faster of two: so nodes without a measurement get their chance. */
export function typicalSpeed(speeds: readonly (EngineSpeed | undefined)[]): EngineSpeed {
  const known = speeds.filter((speed) => speed !== undefined);
  if (known.length === 0) return ASSUMED_SPEED;
  return {
    decodeMsPerByte: middle(known.map(({ decodeMsPerByte }) => decodeMsPerByte)),
    prefillMsPerByte: middle(known.map(({ prefillMsPerByte }) => prefillMsPerByte)),
  };
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1]!;
}
