import type { PipelineFault, PipelineSpec } from '@pangalactic/contracts';
import type { Milliseconds } from './cluster-state';

/** A node, or the way between two nodes, that faults blame. */
export interface Suspect {
  /** One, or the two ends of a way in order of id. */
  readonly nodeIds: readonly string[];
  readonly strikes: number;
  readonly lastAt: Milliseconds;
  /** Of the last fault. */
  readonly reason: string;
}

/** By the ids of its nodes. */
export type FaultMemory = ReadonlyMap<string, Suspect>;

/** So many strikes make a suspect avoided. */
const AVOIDED_FROM = 2;
const FIRST_AVOIDANCE_MS = 30_000;
const LONGEST_AVOIDANCE_MS = 600_000;
/** After so long without another fault, nothing is remembered. */
export const FORGET_FAULT_MS = 600_000;

/**
 * Remembers what broke a pipeline. A node that another one could not talk to may be as well as ever: the way between them
 * is to blame. One that blames itself after it had served gets another chance, because it has the layers.
 */
export function remember(
  memory: FaultMemory,
  fault: PipelineFault,
  hadServed: boolean,
  now: Milliseconds,
): FaultMemory {
  const { nodeId, noticedBy = nodeId, reason } = fault;
  const nodeIds = noticedBy === nodeId ? [nodeId] : [nodeId, noticedBy].sort();
  const strikes = nodeIds.length === 1 && hadServed ? 1 : AVOIDED_FROM;
  const kept = forget(memory, now);
  const before = kept.get(nodeIds.join())?.strikes ?? 0;
  return new Map(kept).set(nodeIds.join(), { nodeIds, strikes: before + strikes, lastAt: now, reason });
}

/** Without what is long ago. */
export function forget(memory: FaultMemory, now: Milliseconds): FaultMemory {
  const fresh = [...memory].filter(([, { lastAt }]) => now - lastAt < FORGET_FAULT_MS);
  return fresh.length === memory.size ? memory : new Map(fresh);
}

/** A token went through this pipeline, so all its ways are open. */
export function acquit(memory: FaultMemory, spec: PipelineSpec): FaultMemory {
  const open = waysOf(spec.stages.map(({ nodeId }) => nodeId)).filter((way) => memory.has(way));
  if (open.length === 0) return memory;
  return new Map([...memory].filter(([key]) => !open.includes(key)));
}

/** Milliseconds for which it is still avoided; 0 when it is not. */
export function avoidedForMs({ strikes, lastAt }: Suspect, now: Milliseconds): Milliseconds {
  if (strikes < AVOIDED_FROM) return 0;
  const term = Math.min(LONGEST_AVOIDANCE_MS, FIRST_AVOIDANCE_MS * 2 ** (Math.floor(strikes / AVOIDED_FROM) - 1));
  return Math.max(0, lastAt + term - now);
}

export function avoidedPaths(memory: FaultMemory, now: Milliseconds): Suspect[] {
  return [...memory.values()].filter((suspect) => avoidedForMs(suspect, now) > 0);
}

/** Those that stages on these nodes, in this order, would use. */
export function usedSuspects(suspects: readonly Suspect[], nodeIds: readonly string[]): Suspect[] {
  const ways = new Set([...nodeIds, ...waysOf(nodeIds)]);
  return suspects.filter((suspect) => ways.has(suspect.nodeIds.join()));
}

/** From each stage to the next, and from the tail back to the head. */
function waysOf(nodeIds: readonly string[]): string[] {
  if (nodeIds.length === 1) return [];
  return nodeIds.map((nodeId, index) => [nodeId, nodeIds[(index + 1) % nodeIds.length]!].sort().join());
}
