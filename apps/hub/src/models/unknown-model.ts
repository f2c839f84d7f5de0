import { PangalacticError } from '@pangalactic/contracts';
import type { ClusterState } from '@pangalactic/scheduler';

/** Names what nodes have instead, and files of that name that a node found but cannot serve. */
export function unknownModel(modelId: string, { nodes }: ClusterState): PangalacticError {
  const connected = [...nodes.values()].filter(({ state }) => state === 'CONNECTED');
  const ids = [...new Set(connected.flatMap(({ models }) => models.map(({ id }) => id)))].sort();
  const have = ids.length > 0 ? `they have ${ids.join(', ')}` : 'they have none';
  const rejections = connected.flatMap(({ id, rejected }) =>
    rejected.filter(({ file }) => isOf(modelId, file)).map(({ file, reason }) => `${id} rejects ${file}: ${reason}`),
  );
  const nobody = connected.length === 0 ? 'no node is connected' : `no connected node has ${modelId}; ${have}`;
  return new PangalacticError('model_not_found', [nobody, ...rejections].join('; '), { param: 'model' });
}

/** `<dir>/<id>/x.gguf` or `<dir>/<id>.gguf`, with the separators of whatever system the node runs on. */
function isOf(modelId: string, file: string): boolean {
  const parts = file.split(/[/\\]/);
  return parts.includes(modelId) || parts.includes(`${modelId}.gguf`);
}
