import { Injectable } from '@nestjs/common';
import type { ClusterChange, ClusterState, Decision } from '@pangalactic/scheduler';
import type { LeadershipTerm } from '@pangalactic/state';
import { NodeRegistry } from '../registry/node-registry';

/** Turns decisions into commands to nodes. Commands carry the term, so that those of an earlier leader are refused. */
@Injectable()
export class Commander {
  constructor(private readonly registry: NodeRegistry) {}

  act(decisions: readonly Decision[], state: ClusterState, leadership: LeadershipTerm): void {
    for (const decision of decisions) {
      if (decision.kind === 'load') this.load(decision.pipelineId, state, leadership);
      if (decision.kind === 'unload') {
        const { nodeId, sessionId, pipelineId } = decision;
        this.registry.send(nodeId, sessionId, { unload: { ...leadership, pipelineId } });
      }
    }
  }

  endSilentSessions(changes: readonly ClusterChange[], state: ClusterState): void {
    for (const { event, nodeId } of changes) {
      const node = event === 'node_failed' ? state.nodes.get(String(nodeId)) : undefined;
      // One that registered again since is not silent.
      if (node?.state === 'FAILED') this.registry.endSilent(node.id, node.sessionId);
    }
  }

  private load(pipelineId: string, state: ClusterState, leadership: LeadershipTerm): void {
    const pipeline = state.pipelines.get(pipelineId)?.spec;
    for (const [stage, { nodeId }] of (pipeline?.stages ?? []).entries()) {
      const { sessionId } = state.nodes.get(nodeId) ?? { sessionId: 0 };
      this.registry.send(nodeId, sessionId, { load: { ...leadership, pipeline, stage } });
    }
  }
}
