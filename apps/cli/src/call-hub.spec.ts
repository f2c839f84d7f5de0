import { PangalacticError, type ErrorCode } from '@pangalactic/contracts';
import { freePort } from '@pangalactic/testing';
import type { HubClient } from '@pangalactic/transport';
import { afterEach, describe, expect, it } from 'vitest';
import { callHub } from './call-hub';
import { closeHubs, startScriptedHub } from './scripted-hub.fixture';

afterEach(closeHubs);

const NOTHING = { nodes: [], pipelines: [], deployments: [] };
const clusterId = async (hub: HubClient) => (await hub.getCluster({}, { deadlineMs: 5_000 })).clusterId;
const answering = (id: string) => startScriptedHub({ getCluster: () => ({ clusterId: id, term: 1, ...NOTHING }) });
const failing = (code: ErrorCode, redirectTo?: string) =>
  startScriptedHub({
    getCluster: () => {
      throw new PangalacticError(code, `it says ${code}`, redirectTo === undefined ? {} : { redirectTo });
    },
  });

describe('callHub', () => {
  it.each<ErrorCode>(['state_unavailable', 'not_leader', 'service_unavailable'])(
    'asks the next hub of the list when one says %s',
    async (code) => {
      const [one, other] = [await failing(code), await answering('the other')];
      await expect(callHub(`${one},${other}`, clusterId)).resolves.toBe('the other');
    },
  );

  it('follows a standby to the leader, and asks the next hub when that is of no use', async () => {
    const leader = await answering('the leader');
    await expect(callHub(await failing('not_leader', leader), clusterId)).resolves.toBe('the leader');
    const standby = await failing('not_leader', `127.0.0.1:${await freePort()}`);
    await expect(callHub(`${standby},${leader}`, clusterId)).resolves.toBe('the leader');
  });

  it('takes a refusal for an answer', async () => {
    const [one, other] = [await failing('invalid_request'), await answering('the other')];
    await expect(callHub(`${one},${other}`, clusterId)).rejects.toMatchObject({
      name: 'CommandError',
      message: `hub ${one} refused: it says invalid_request`,
    });
  });

  it('names what each of them said', async () => {
    const [one, other] = [await failing('state_unavailable'), await failing('not_leader')];
    await expect(callHub(`${one},${other}`, clusterId)).rejects.toMatchObject({
      message: `hub ${one} refused: it says state_unavailable\nhub ${other} refused: it says not_leader`,
    });
  });
});
