import { Inject, Injectable } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import type {
  ClusterNode,
  ClusterState,
  Deployment,
  StoredCluster,
  StoredDeployment,
  StoredNode,
} from '@pangalactic/scheduler';
import {
  inCommits,
  STATE_REPOSITORY,
  type Candidacy,
  type CurrentTerm,
  type Leadership,
  type StateRepository,
  type StateSnapshot,
} from '@pangalactic/state';
import { parseDeployments, parseNode, parsePipeline } from './stored-values';

const DEPLOYMENTS = 'deployments';
const NODES = 'nodes/';
const PIPELINES = 'pipelines/';

/** One entry to write, or to delete when it has no value. */
interface Write {
  readonly key: string;
  readonly value?: string;
}

/** Keeps what outlives the hub: which models run, on which pipelines, on which nodes. Heartbeats are never written. */
@Injectable()
export class ClusterStore {
  constructor(@Inject(STATE_REPOSITORY) private readonly repository: StateRepository) {}

  lead(candidacy?: Candidacy): Promise<Leadership> {
    return this.repository.lead(candidacy);
  }

  currentTerm(): Promise<CurrentTerm> {
    return this.repository.currentTerm();
  }

  async load(): Promise<StoredCluster> {
    return parseCluster(await this.repository.list(''));
  }

  /** The stored cluster at once, and again whenever it has changed. Ends when the signal aborts. */
  async *follow(signal: AbortSignal): AsyncGenerator<StoredCluster> {
    let snapshot = await this.repository.list('');
    yield parseCluster(snapshot);
    for await (const { revision } of this.repository.watch('', snapshot.revision + 1, signal)) {
      // What was listed last may be ahead of the watch.
      if (revision <= snapshot.revision) continue;
      snapshot = await this.repository.list('');
      yield parseCluster(snapshot);
    }
  }

  /**
   * Writes what differs between two states. Repeating it after a failure is harmless.
   * @throws PangalacticError `state_conflict` when another hub has taken the lead, `state_unavailable`,
   * `state_outcome_unknown`
   */
  async save(before: ClusterState, after: ClusterState): Promise<void> {
    // Entries stand for themselves, so a large change may be written in several commits.
    for (const writes of inCommits(writesBetween(before, after))) {
      const { outcome } = await this.repository.commit({
        puts: writes.flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value }])),
        deletes: writes.flatMap(({ key, value }) => (value === undefined ? [key] : [])),
        guards: [{ term: after.term }],
      });
      if (outcome === 'conflict') {
        throw new PangalacticError('state_conflict', `term ${after.term} is over: another hub has taken the lead`);
      }
    }
  }

  /** @throws PangalacticError `state_unavailable` */
  async check(): Promise<void> {
    await this.repository.get(DEPLOYMENTS);
  }

  close(): Promise<void> {
    return this.repository.close();
  }
}

function parseCluster({ entries }: StateSnapshot): StoredCluster {
  const under = (prefix: string) => entries.filter(({ key }) => key.startsWith(prefix));
  return {
    nodes: under(NODES).map(({ key, value }) => parseNode(key, value)),
    pipelines: under(PIPELINES).map(({ key, value }) => parsePipeline(key, value)),
    deployments: entries
      .filter(({ key }) => key === DEPLOYMENTS)
      .flatMap(({ key, value }) => parseDeployments(key, value)),
  };
}

function writesBetween(before: ClusterState, after: ClusterState): Write[] {
  const writes: Write[] = [];
  const compare = <T>(
    prefix: string,
    old: ReadonlyMap<string, T>,
    current: ReadonlyMap<string, T>,
    stored: (value: T) => unknown,
  ): void => {
    if (old === current) return;
    let added = 0;
    for (const [id, value] of current) {
      const previous = old.get(id);
      if (previous === value) continue;
      if (previous === undefined) added += 1;
      const json = JSON.stringify(stored(value));
      if (previous === undefined || json !== JSON.stringify(stored(previous))) {
        writes.push({ key: keyOf(prefix, id), value: json });
      }
    }
    if (old.size + added === current.size) return;
    for (const id of old.keys()) if (!current.has(id)) writes.push({ key: keyOf(prefix, id) });
  };
  compare(NODES, before.nodes, after.nodes, storedPart);
  compare(PIPELINES, before.pipelines, after.pipelines, (pipeline) => pipeline);
  const deployments = storedDeployments(after);
  if (deployments !== storedDeployments(before)) writes.push({ key: DEPLOYMENTS, value: deployments });
  return writes;
}

/** Ids of pipelines begin with their model's, which may be any name that a file can have; keys are visible ASCII. */
function keyOf(prefix: string, id: string): string {
  return prefix + id.replace(/[^\x21-\x7e]|%/gu, encodeURIComponent);
}

function storedDeployments({ deployments }: ClusterState): string {
  return JSON.stringify([...deployments.values()].map(storedDeployment));
}

function storedDeployment(deployment: Deployment): StoredDeployment {
  const { modelId, replicas, stages, contextLength, maxSequences, pins, origin } = deployment;
  return { modelId, replicas, stages, contextLength, maxSequences, pins, origin };
}

function storedPart(node: ClusterNode): StoredNode {
  const { id, address, computeType, simulated, memoryBytes, version, activationFormat, drainTimeoutMs } = node;
  const drained = node.drained || undefined;
  const held = node.held.length > 0 ? node.held : undefined;
  return { id, address, computeType, simulated, memoryBytes, version, activationFormat, drainTimeoutMs, drained, held };
}
