import { newDeployment, restoreCluster, type DeploymentOrigin, type Pipeline } from '@pangalactic/scheduler';
import { register } from 'prom-client';
import { afterEach, expect, it } from 'vitest';
import { HubMetrics } from './hub-metrics';

afterEach(() => register.clear());

const SETTINGS = { term: 1, heartbeatTimeoutMs: 15_000, wanted: { models: ['configured', 'unloaded'], stages: 0 } };

function wish(modelId: string, origin: DeploymentOrigin, replicas = 1) {
  return newDeployment({ modelId, origin, replicas, stages: 0, pins: [] });
}

it('a model without a pipeline counts as one that does not serve where the configuration or an operator wants it', async () => {
  const deployments = [
    wish('configured', 'CONFIGURATION'),
    wish('loaded', 'OPERATOR'),
    wish('unloaded', 'OPERATOR', 0),
    wish('requested', 'REQUEST'),
    wish('served', 'REQUEST'),
  ];
  const pipeline: Pipeline = {
    spec: { id: 'p', modelId: 'served', fingerprint: 'f', contextLength: 512, maxSequences: 8, stages: [] },
    ...{ state: 'READY', since: 0, reason: '' },
  };
  new HubMetrics().observeCluster(restoreCluster({ nodes: [], deployments, pipelines: [pipeline] }, SETTINGS, 0));
  const text = await register.getSingleMetricAsString('pangalactic_hub_pipelines');
  const ready = [...text.matchAll(/\{model="(\w+)",state="READY"\} (\d)/g)].map(([, model, count]) => [model, count]);
  expect(Object.fromEntries(ready)).toEqual({ configured: '0', loaded: '0', served: '1' });
});
