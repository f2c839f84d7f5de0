import type { ClusterState } from './cluster-state';

/** What would let more connected nodes take part: nothing, or that they get the model's file, which only some have. */
export function missingCopies(modelId: string, { nodes }: ClusterState): string[] {
  const connected = [...nodes.values()].filter(({ state, drained }) => state === 'CONNECTED' && !drained);
  const holders = connected.filter(({ models }) => models.some(({ id }) => id === modelId));
  const others = connected.filter((node) => !holders.includes(node));
  if (holders.length === 0 || others.length === 0) return [];
  return [
    `the file is on ${listed(holders)} alone: download it to ${listed(others)} too, ` +
      'or let all nodes share one NODE_MODEL_DIR',
  ];
}

const MOST_NAMES = 5;

function listed(nodes: readonly { readonly id: string }[]): string {
  const names = nodes.map(({ id }) => id).sort();
  if (names.length <= MOST_NAMES) return names.join(', ');
  return `${names.slice(0, MOST_NAMES).join(', ')} and ${names.length - MOST_NAMES} more`;
}
