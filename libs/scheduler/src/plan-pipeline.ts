import type { LayerRange, ModelInfo, StageSpec } from '@pangalactic/contracts';
import { ASSUMED_LINK, type EngineSpeed, type LinkBetween } from './cost-model';
import { pinText, type StagePin } from './deployment-spec';
import { MEMORY_HEADROOM, stageMemory, type SequenceLimits } from './memory-ledger';
import { placeStages, type Machine } from './place-stages';
import { canShare, roomiestBins, type PlacedStage, type StageBytes } from './stage-partition';

const DEFAULT_CONTEXT_LENGTH = 4096;
const DEFAULT_SEQUENCES = 8;
/** Down to this, a shorter context is better than one node more: a conversation still fits. */
const SENSIBLE_CONTEXT_LENGTH = 1024;
/** Shrinking the context further would make the model useless. */
export const SMALLEST_CONTEXT_LENGTH = 256;

/** A node that is up and has the model. */
export interface Candidate {
  readonly nodeId: string;
  readonly address: string;
  readonly memoryBytes: number;
  /** Taken by other pipelines, by the same ledger. */
  readonly usedBytes: number;
  /** With this model; see Machine for these. */
  readonly speed?: EngineSpeed | undefined;
  readonly otherStages?: number | undefined;
  readonly cached?: LayerRange | undefined;
  readonly inner?: boolean | undefined;
}

export interface PlanOptions {
  /** 0: as few nodes as can hold the model; n: exactly n distinct nodes. */
  readonly stages: number;
  /** Exactly this, instead of a default that shrinks to fit. */
  readonly contextLength?: number | undefined;
  readonly maxSequences?: number | undefined;
  /** Exactly these stages. */
  readonly pins?: readonly StagePin[] | undefined;
  /** As measured. By default every link is alike. */
  readonly linkBetween?: LinkBetween;
}

export interface PlannedPipeline extends SequenceLimits {
  readonly stages: StageSpec[];
}

export type Plan = PlannedPipeline | { readonly reason: string };

/**
 * Places a model on the fewest nodes that hold it (docs/decisions/006), on those and in that order that are predicted to
 * be fastest (docs/decisions/009). To fit on them, sequences shrink first, because a client
 * only waits longer for a slot; then the context, because a client whose prompt no longer fits is turned away. Only
 * when no number of nodes has room for a sensible context does it shrink further.
 */
export function planPipeline(model: ModelInfo, candidates: readonly Candidate[], options: PlanOptions): Plan {
  const { pins = [] } = options;
  const stages = pins.length || options.stages;
  const impossible = impossibility(model, candidates, { ...options, stages });
  if (impossible !== undefined) return { reason: impossible };
  const most = Math.min(candidates.length, model.layers);
  const counts = stages > 0 ? [stages] : Array.from({ length: most }, (_, index) => index + 1);
  const bins = candidates.map((candidate) => ({ ...candidate, id: candidate.nodeId }));
  const roomiest = roomiestBins(bins, most, MEMORY_HEADROOM);
  const rooms = roomiest.map(roomOf);
  const linkBetween = options.linkBetween ?? (() => ASSUMED_LINK);
  const sequences = options.maxSequences ?? DEFAULT_SEQUENCES;
  const fewestSequences = options.maxSequences ?? 1;
  const shapes = contextLengths(model, options.contextLength).map((contextLength) => ({
    contextLength,
    least: wholeModel(model, { contextLength, maxSequences: fewestSequences }),
    bytesFor: remember((maxSequences) => stageBytesTable(model, { contextLength, maxSequences })),
  }));
  const [longest] = shapes;
  const sensible = shapes.filter((shape) => shape === longest || shape.contextLength >= SENSIBLE_CONTEXT_LENGTH);
  const cramped = shapes.slice(sensible.length);

  for (const eligible of [sensible, cramped]) {
    for (const count of counts) {
      const room = sum(rooms.slice(0, count));
      for (const { contextLength, least, bytesFor } of eligible) {
        const fits = (maxSequences: number) => {
          const bytes = bytesFor(maxSequences);
          if (pins.length > 0) return pinnedStages(pins, bins).every((stage) => holds(stage, bytes));
          return canShare(model.layers, bytes, roomiest.slice(0, count), MEMORY_HEADROOM);
        };
        // Splitting never saves memory, so the sum spares the search where memory is short by far.
        if (room < least || !fits(fewestSequences)) continue;
        let maxSequences = sequences;
        while (!fits(maxSequences)) maxSequences--;
        const bytes = bytesFor(maxSequences);
        const layout = pins.length > 0 ? pinnedStages(pins, bins) : placeStages(model, bytes, bins, count, linkBetween);
        if (layout) return { stages: stagesOf(layout, bytes), contextLength, maxSequences };
      }
    }
  }
  return { reason: tooLittleMemory(model, candidates, options) };
}

/** Why no amount of memory would help. */
function impossibility(
  model: ModelInfo,
  candidates: readonly Candidate[],
  { stages, contextLength, pins = [] }: PlanOptions,
): string | undefined {
  if (stages > model.layers) return `${stages} stages cannot share the ${model.layers} layers of ${model.id}`;
  if (contextLength !== undefined && contextLength > model.contextLength) {
    return `${model.id} was trained for ${model.contextLength} tokens, fewer than the ${contextLength} that are wanted`;
  }
  const pinned = pins.at(-1)?.layers.to ?? model.layers;
  if (pinned !== model.layers) return `pins cover ${pinned} layers, ${model.id} has ${model.layers}`;
  const missing = pins.filter((pin) => !candidates.some(({ nodeId }) => nodeId === pin.nodeId)).map(pinText);
  if (missing.length > 0) return `no such node is available: ${missing.join(', ')}`;
  return candidates.length < Math.max(stages, 1) ? tooFewNodes(model, candidates, stages) : undefined;
}

/** All nodes must be there. */
function pinnedStages<M extends Machine>(pins: readonly StagePin[], machines: readonly M[]): PlacedStage<M>[] {
  return pins.map(({ nodeId, layers }) => ({ bin: machines.find(({ id }) => id === nodeId)!, layers }));
}

function holds({ bin, layers }: PlacedStage<Machine>, bytes: StageBytes): boolean {
  return bin.usedBytes + bytes(layers.from, layers.to) <= MEMORY_HEADROOM * bin.memoryBytes;
}

function stagesOf(layout: readonly PlacedStage<Candidate & Machine>[], bytes: StageBytes): StageSpec[] {
  return layout.map(({ bin: { nodeId, address }, layers }) => ({
    nodeId,
    address,
    layers,
    memoryBytes: bytes(layers.from, layers.to),
  }));
}

/** From the longest context to the shortest that may be offered. */
function contextLengths(model: ModelInfo, exact: number | undefined): number[] {
  if (exact !== undefined) return [exact];
  const shortest = Math.min(SMALLEST_CONTEXT_LENGTH, model.contextLength);
  const lengths: number[] = [];
  for (
    let length = Math.min(DEFAULT_CONTEXT_LENGTH, model.contextLength);
    length > shortest;
    length = Math.floor(length / 2)
  ) {
    lengths.push(length);
  }
  return [...lengths, shortest];
}

function roomOf(candidate: Candidate): number {
  return Math.max(0, Math.floor(candidate.memoryBytes * MEMORY_HEADROOM) - candidate.usedBytes);
}

function wholeModel(model: ModelInfo, limits: SequenceLimits): number {
  return stageMemory(model, { from: 0, to: model.layers }, limits).total;
}

/** Each range is counted once, when it is first asked for. */
function stageBytesTable(model: ModelInfo, limits: SequenceLimits): StageBytes {
  const width = model.layers + 1;
  const table = new Float64Array(width * width);
  return (from, to) => (table[from * width + to] ||= stageMemory(model, { from, to }, limits).total);
}

function tooFewNodes(model: ModelInfo, candidates: readonly Candidate[], stages: number): string {
  if (candidates.length === 0) return `no connected node has ${model.id}`;
  const names = candidates.map((candidate) => candidate.nodeId).sort();
  return `${stages} stages need ${stages} nodes with ${model.id}; ${names.length} available (${names.join(', ')})`;
}

function tooLittleMemory(model: ModelInfo, candidates: readonly Candidate[], options: PlanOptions): string {
  const limits = {
    contextLength: contextLengths(model, options.contextLength).at(-1)!,
    maxSequences: options.maxSequences ?? 1,
  };
  const room = candidates.map(roomOf);
  const split = options.stages > 0 ? ` in ${options.stages} stages` : '';
  if (options.pins?.length) return pinsDoNotFit(model, candidates, options.pins, limits);
  return (
    `${model.id} needs ${megabytes(wholeModel(model, limits))} or more${split} ` +
    `(${limits.maxSequences} sequences of ${limits.contextLength} tokens); ` +
    `${candidates.length} nodes offer ${megabytes(sum(room))} together and ${megabytes(Math.max(...room))} at most ` +
    `(${MEMORY_HEADROOM * 100} % of their memory, less what other pipelines use)`
  );
}

function pinsDoNotFit(
  model: ModelInfo,
  candidates: readonly Candidate[],
  pins: readonly StagePin[],
  limits: SequenceLimits,
): string {
  const short = pins.flatMap((pin) => {
    const room = roomOf(candidates.find(({ nodeId }) => nodeId === pin.nodeId)!);
    const { total } = stageMemory(model, pin.layers, limits);
    return total > room ? [`${pinText(pin)} needs ${megabytes(total)} or more, ${megabytes(room)} are free there`] : [];
  });
  return `${short.join('; ')} (${limits.maxSequences} sequences of ${limits.contextLength} tokens)`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function remember<T>(compute: (key: number) => T): (key: number) => T {
  const known = new Map<number, T>();
  return (key) => {
    const value = known.get(key) ?? compute(key);
    known.set(key, value);
    return value;
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
