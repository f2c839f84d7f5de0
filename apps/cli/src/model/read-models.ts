import type { ModelView } from '@pangalactic/contracts';
import { callHub, HUB_DEADLINE_MS } from '../call-hub';
import { CommandError } from '../command-error';

/** @throws CommandError that names the address */
export async function readModels(hubAddress: string): Promise<ModelView[]> {
  return (await callHub(hubAddress, (hub) => hub.listModels({}, { deadlineMs: HUB_DEADLINE_MS }))).models;
}

/** @throws CommandError that names the models there are */
export async function readModel(hubAddress: string, id: string): Promise<ModelView> {
  const models = await readModels(hubAddress);
  const model = models.find((each) => each.id === id);
  if (model) return model;
  const others = models.length > 0 ? `they have ${models.map((each) => each.id).join(', ')}` : 'they have none';
  throw new CommandError(`no node has ${id}; ${others}`);
}
