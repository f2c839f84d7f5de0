import { SqliteStateRepository } from '@pangalactic/state';
import { register } from 'prom-client';
import { afterEach, expect, it } from 'vitest';
import { closeAll, newSqlitePath } from '../hub.fixture';
import { HubMetrics } from './hub-metrics';
import { measuredState } from './measured-state';

afterEach(async () => {
  register.clear();
  await closeAll();
});

async function valuesOf(name: string): Promise<Record<string, number>> {
  const text = await register.getSingleMetricAsString(name);
  const samples = [...text.matchAll(/^(\S+\{\S+\}) (\S+)$/gm)].filter(([, series]) => !series!.includes('_bucket'));
  return Object.fromEntries(samples.map(([, series, value]) => [series!.slice(name.length), Number(value)]));
}

it('times what the hub waits for, and counts what fails, by backend and operation', async () => {
  const repository = await SqliteStateRepository.open(newSqlitePath());
  const state = measuredState(repository, 'sqlite', new HubMetrics());
  await state.commit({ puts: [{ key: 'a', value: '1' }] });
  expect(await state.get('a')).toMatchObject({ value: '1' });
  expect((await state.list('')).entries).toHaveLength(1);
  await state.close();
  for (const operation of [state.get('a'), state.commit({ deletes: ['a'] })]) {
    await expect(operation).rejects.toMatchObject({ code: 'state_unavailable' });
  }

  expect(await valuesOf('pangalactic_hub_state_operation_duration_seconds')).toMatchObject({
    '_count{backend="sqlite",operation="commit"}': 2,
    '_count{backend="sqlite",operation="get"}': 2,
    '_count{backend="sqlite",operation="list"}': 1,
  });
  expect(await valuesOf('pangalactic_hub_state_operation_errors_total')).toEqual({
    '{backend="sqlite",operation="commit",code="state_unavailable"}': 1,
    '{backend="sqlite",operation="commit",code="state_outcome_unknown"}': 0,
    '{backend="sqlite",operation="get",code="state_unavailable"}': 1,
    '{backend="sqlite",operation="get",code="state_outcome_unknown"}': 0,
    '{backend="sqlite",operation="list",code="state_unavailable"}': 0,
    '{backend="sqlite",operation="list",code="state_outcome_unknown"}': 0,
  });
});
