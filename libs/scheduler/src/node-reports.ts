import { ShardState, type Inventory, type ShardStatus } from '@pangalactic/contracts';
import type { NodeRegistered, SessionClosed, SessionEvent } from './cluster-event';
import {
  configuredDeployment,
  withEntry,
  withoutEntry,
  type ClusterNode,
  type ClusterState,
  type HeldModel,
  type Milliseconds,
  type Shard,
} from './cluster-state';

const NOTHING_KNOWN: Pick<ClusterNode, 'speeds' | 'links' | 'cached'> = {
  speeds: new Map(),
  links: new Map(),
  cached: new Map(),
};

/** In their order, but the nodes are copied and looked through once. */
export function changeSessions(events: readonly SessionEvent[], state: ClusterState): ClusterState {
  const nodes = new Map(state.nodes);
  const residents = residentsOf(events, state);
  for (const event of events) {
    const id = nodeIdOf(event);
    const before = nodes.get(id);
    const after = event.kind === 'node_registered' ? registered(event, before) : closed(event, before);
    if (after === undefined || after === before) continue;
    nodes.set(id, after);
    failReplaced(after.address, residents.get(after.address)!, nodes);
  }
  const models = events.flatMap((event) => (event.kind === 'node_registered' ? event.inventory.models : []));
  return withModels(models, { ...state, nodes });
}

export function nodeIdOf(event: SessionEvent): string {
  return event.kind === 'node_registered' ? event.identity.id : event.nodeId;
}

/** Ids of the nodes that are, or come to be, at the addresses of the events. */
function residentsOf(events: readonly SessionEvent[], { nodes }: ClusterState): ReadonlyMap<string, Set<string>> {
  const residents = new Map<string, Set<string>>();
  for (const event of events) {
    const address = event.kind === 'node_registered' ? event.identity.address : nodes.get(event.nodeId)?.address;
    if (address !== undefined) residents.set(address, new Set([...(residents.get(address) ?? []), nodeIdOf(event)]));
  }
  for (const { id, address } of nodes.values()) residents.get(address)?.add(id);
  return residents;
}

/** One process listens at an address: what is not connected and was there before is gone, or has another name now. */
function failReplaced(address: string, residents: Iterable<string>, nodes: Map<string, ClusterNode>): void {
  const present = [...residents].flatMap((id) => nodes.get(id) ?? []).filter((node) => node.address === address);
  if (!present.some(isUp)) return;
  for (const node of present) if (!isUp(node) && node.state !== 'FAILED') nodes.set(node.id, failed(node));
}

function closed({ sessionId }: SessionClosed, node: ClusterNode | undefined): ClusterNode | undefined {
  return node?.sessionId === sessionId && isUp(node) ? { ...node, state: 'RECONNECTING' } : node;
}

function registered(
  { at, identity, sessionId, inventory, ...reported }: NodeRegistered,
  before: ClusterNode | undefined,
): ClusterNode {
  const shards = reported.shards.reduce(
    (map, status) => withStatus(map, status, at),
    new Map() as ReadonlyMap<string, Shard>,
  );
  // What an earlier process at that address has measured and cached, this one has too.
  const { speeds, links, cached } = before?.address === identity.address ? before : NOTHING_KNOWN;
  return {
    ...identity,
    state: 'CONNECTED',
    drained: before?.drained ?? false,
    sessionId,
    lastSeenAt: at,
    models: inventory.models,
    held: heldModels(inventory),
    rejected: inventory.rejected,
    shards,
    stageTimes: [],
    ...{ speeds, links, cached },
  };
}

export function isUp(node: ClusterNode): boolean {
  return node.state === 'CONNECTED';
}

export function failed(node: ClusterNode): ClusterNode {
  return { ...node, state: 'FAILED', shards: new Map(), stageTimes: [] };
}

export function heldModels({ models }: Inventory): HeldModel[] {
  return models.map(({ id, contextLength }) => ({ id, contextLength }));
}

/** Wanted models that a node reports for the first time become deployments. */
export function withModels(models: Inventory['models'], state: ClusterState): ClusterState {
  const found = models.filter(({ id }) => state.wanted.models.includes(id) && !state.deployments.has(id));
  if (found.length === 0) return state;
  const deployments = new Map(state.deployments);
  for (const { id } of found) deployments.set(id, configuredDeployment(id, state.wanted));
  return { ...state, deployments };
}

const SHARD_PHASES = {
  [ShardState.SHARD_STATE_LOADING]: 'LOADING',
  [ShardState.SHARD_STATE_READY]: 'READY',
  [ShardState.SHARD_STATE_BROKEN]: 'BROKEN',
} as const;

/** Characters of a reason that are kept: it is stored with the pipeline, and an engine's may be a page. */
const LONGEST_REASON = 1_000;

export function withStatus(
  shards: ReadonlyMap<string, Shard>,
  status: ShardStatus,
  at: Milliseconds,
): ReadonlyMap<string, Shard> {
  const { pipelineId, state, progress, memoryBytes } = status;
  if (state === ShardState.SHARD_STATE_GONE) return withoutEntry(shards, pipelineId);
  if (!(state in SHARD_PHASES)) return shards;
  const phase = SHARD_PHASES[state as keyof typeof SHARD_PHASES];
  const unloading = shards.get(pipelineId)?.unloading ?? false;
  const fault = status.fault && { ...status.fault, reason: status.fault.reason.slice(0, LONGEST_REASON) };
  return withEntry(shards, pipelineId, { phase, progress, fault, memoryBytes, unloading, changedAt: at });
}
