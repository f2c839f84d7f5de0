import { callHub, HUB_DEADLINE_MS } from '../call-hub';

/**
 * @returns what to tell the operator
 * @throws CommandError when the hub refuses
 */
export async function unloadModel(hubAddress: string, modelId: string): Promise<string> {
  const { model } = await callHub(hubAddress, (hub) => hub.unloadModel({ modelId }, { deadlineMs: HUB_DEADLINE_MS }));
  const drains = model?.pipelines.some(({ state }) => state === 'DRAINING');
  const rest = drains ? 'is being unloaded: what runs on it finishes first' : 'is unloaded';
  return `${modelId} ${rest}. It is loaded again by \`model load\`, or when a client asks for it, unless HUB_AUTOLOAD is false`;
}
