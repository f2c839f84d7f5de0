import { register } from 'prom-client';
import { beforeEach, expect, it } from 'vitest';
import { createMetrics, readOnScrape } from './create-metrics';
import { counter, gauge, histogram } from './metric-definition';

const DEFINITIONS = {
  requests: counter('test_requests_total', 'Requests.', ['code']),
  pipelines: gauge('test_pipelines', 'Pipelines.', ['pipeline']),
  duration: histogram('test_duration_seconds', 'Duration.', [0.1, 1]),
};

beforeEach(() => register.clear());

const samples = async () => (await register.metrics()).split('\n').filter((line) => line.startsWith('test_'));

it('creates what the catalogue says', async () => {
  const { requests, duration } = createMetrics(DEFINITIONS);
  requests.inc({ code: 'queue_full' });
  duration.observe(0.5);
  expect(await samples()).toEqual([
    'test_requests_total{code="queue_full"} 1',
    'test_duration_seconds_bucket{le="0.1"} 0',
    'test_duration_seconds_bucket{le="1"} 1',
    'test_duration_seconds_bucket{le="+Inf"} 1',
    'test_duration_seconds_sum 0.5',
    'test_duration_seconds_count 1',
  ]);
});

it('a gauge that is read on scrape has nothing of earlier ones', async () => {
  const { pipelines } = createMetrics(DEFINITIONS);
  let held = ['p1', 'p2'];
  readOnScrape(pipelines, () => held.map((pipeline) => [{ pipeline }, 1] as const));
  const read = async () => (await samples()).filter((line) => line.startsWith('test_pipelines'));
  expect(await read()).toEqual(['test_pipelines{pipeline="p1"} 1', 'test_pipelines{pipeline="p2"} 1']);
  held = ['p3'];
  expect(await read()).toEqual(['test_pipelines{pipeline="p3"} 1']);
});
