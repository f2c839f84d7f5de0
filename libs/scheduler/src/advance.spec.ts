import { describe, expect, it } from 'vitest';
import { MAX_ROUNDS } from './advance';
import { modelInfo, SimulatedCluster } from './simulated-cluster.fixture';

describe('advance', () => {
  it('says so when there is more to decide than it does at once, and goes on with the next call', () => {
    // Each takes two rounds: to plan a pipeline, and to load it.
    const models = Array.from({ length: MAX_ROUNDS / 2 + 1 }, (_, index) =>
      modelInfo({ id: `m${index}`, fingerprint: `f${index}`, layers: 1 }),
    );
    const cluster = new SimulatedCluster({ models: models.map(({ id }) => id), stages: 0 });
    cluster.start('a', { models, memoryBytes: 1e12 });
    expect(cluster.changes).toContainEqual({ event: 'plan_unfinished', rounds: MAX_ROUNDS });
    cluster.pass(1);
    expect(cluster.pipelines.READY).toHaveLength(models.length);
  });
});
