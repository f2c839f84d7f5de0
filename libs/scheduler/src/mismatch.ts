import type { LayerRange } from '@pangalactic/contracts';
import type { ClusterState, Pipeline } from './cluster-state';

/** Why the pipeline is not what its deployment wants. */
export function mismatch({ spec }: Pipeline, state: ClusterState): string | undefined {
  const drained = spec.stages.find(({ nodeId }) => state.nodes.get(nodeId)?.drained);
  if (drained) return `node ${drained.nodeId} is drained`;
  const deployment = state.deployments.get(spec.modelId);
  if (!deployment) return undefined;
  const { stages, contextLength, maxSequences, pins } = deployment;
  if (stages > 0 && spec.stages.length !== stages) return `${stages} stages are wanted`;
  if (contextLength !== undefined && spec.contextLength !== contextLength)
    return `a context of ${contextLength} is wanted`;
  if (maxSequences !== undefined && spec.maxSequences !== maxSequences) return `${maxSequences} sequences are wanted`;
  const asPinned = pins.every(({ nodeId, layers }, stage) => {
    const placed = spec.stages[stage];
    return placed?.nodeId === nodeId && sameRange(placed.layers, layers);
  });
  if (pins.length > 0 && !(asPinned && spec.stages.length === pins.length)) return 'its layers are wanted elsewhere';
  return undefined;
}

function sameRange(a: LayerRange | undefined, b: LayerRange): boolean {
  return a?.from === b.from && a.to === b.to;
}
