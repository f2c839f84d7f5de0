import { ConfigError, type HubConfig } from '@pangalactic/config';
import { openStateRepository, type StateRepository } from '@pangalactic/state';

export async function openHubState({ stateBackend, sqlitePath }: HubConfig): Promise<StateRepository> {
  if (stateBackend !== 'sqlite') {
    throw new ConfigError(`HUB_STATE_BACKEND=${JSON.stringify(stateBackend)}: this build allows only: sqlite`);
  }
  return openStateRepository({ backend: stateBackend, sqlitePath });
}
