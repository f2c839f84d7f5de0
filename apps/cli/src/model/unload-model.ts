import { callHub, HUB_DEADLINE_MS } from '../call-hub';

/**
 * @returns what to tell the operator
 * @throws CommandError when the hub refuses
 */
export async function unloadModel(hubAddress: string, modelId: string): Promise<string> {
  const { model } = await callHub(hubAddress, (hub) => hub.unloadModel({ modelId }, { deadlineMs: HUB_DEADLINE_MS }));
  const running = (model?.pipelines ?? []).filter(({ state }) => state === 'DRAINING').length;
  const rest = running === 0 ? 'is unloaded' : `is being unloaded: ${running} pipelines finish what runs on them`;
  return `${modelId} ${rest}. It is loaded again by \`model load\`, or when a client asks for it, unless HUB_AUTOLOAD is false`;
}
