import type { ModelView } from '@pangalactic/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { closeHubs, startScriptedHub } from '../scripted-hub.fixture';
import { loadModel } from './load-model';
import { loadRequest } from './load-request';

afterEach(closeHubs);

/** A model that serves as it was wanted before. */
const VIEW: ModelView = {
  ...{ id: 'm', state: 'READY', wantedState: 'LOADING', progress: 0.5, waitingFor: 'pipeline m-1-2, LOADING' },
  ...{ contextLength: 512, origin: 'OPERATOR', versions: [], pipelines: [] },
};
const SERVED: ModelView = { ...VIEW, wantedState: 'READY', progress: 1, waitingFor: '' };

async function load(timeoutMs: number, ...views: readonly ModelView[]) {
  const left = [...views];
  const hubAddress = await startScriptedHub({
    loadModel: () => ({ model: VIEW }),
    listModels: () => ({ models: [left.length > 1 ? left.shift()! : left[0]!] }),
  });
  const shown: string[] = [];
  const display = { show: ({ state }: { state: string }) => shown.push(state), end: () => undefined };
  const request = loadRequest('m', { context: '1024' });
  return { shown, said: loadModel({ hubAddress, request, timeoutMs, display }) };
}

describe('loadModel', () => {
  it('waits for a pipeline as it was asked for while one of an earlier wish serves', async () => {
    const { shown, said } = await load(10_000, VIEW, SERVED);
    await expect(said).resolves.toBe('m is READY');
    expect(shown).toEqual(['LOADING', 'READY']);
  });

  it('tells what it waits for, and that the model is served meanwhile', async () => {
    const { said } = await load(0, { ...VIEW, wantedState: 'WAITING', waitingFor: 'more memory' });
    await expect(said).rejects.toMatchObject({
      name: 'CommandError',
      message:
        'm is WAITING, not READY: more memory. It is served as it was wanted before. ' +
        'It stays wanted until `model unload m`',
    });
  });

  it('goes by the state alone where a hub of an earlier version tells no more', async () => {
    const { said } = await load(10_000, { ...SERVED, wantedState: '' });
    await expect(said).resolves.toBe('m is READY');
  });
});
