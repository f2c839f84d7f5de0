import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgmlType } from '@pangalactic/models';
import { METRIC_CATALOGUE } from '@pangalactic/observability';
import {
  metricProblems,
  PrometheusServer,
  startCluster,
  until,
  writeRandomModel,
  type RangeSeries,
  type TestCluster,
} from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { openaiClient } from '../cluster/openai-client';
import { StreamingLoad } from '../cluster/streaming-load';
import { ALERTS_PATH, alertRules, dashboards, withoutVariables } from './monitoring-files';

const MODEL = 'many-words';
/** So many words that the model's header tells a node how fast its link is. */
const SHAPE = {
  ...{ layers: 2, hiddenSize: 64, feedForwardSize: 128, heads: 2, kvHeads: 1, headSize: 32 },
  ...{ vocabSize: 16_384, tiedEmbeddings: true, contextLength: 512 },
};
const SCRAPE_INTERVAL = '500ms';
const RATE_INTERVAL = '5s';
const WAIT = { timeoutMs: 20_000 };

let modelDirectory: string;
let cluster: TestCluster;
let prometheus: PrometheusServer;
let startedAt: number;

interface Targets {
  readonly activeTargets: readonly { readonly health: string }[];
}

interface Rules {
  readonly groups: readonly { readonly rules: readonly { readonly name: string; readonly health: string }[] }[];
}

function configuration(): string {
  const target = (name: string) => ({ targets: [new URL(cluster.url(name)).host], labels: { instance: name } });
  const job = (name: string, processes: readonly string[]) => ({
    job_name: name,
    static_configs: processes.map(target),
  });
  return stringify({
    global: { scrape_interval: SCRAPE_INTERVAL, scrape_timeout: SCRAPE_INTERVAL, evaluation_interval: '1s' },
    rule_files: [ALERTS_PATH],
    scrape_configs: [job('hub', ['hub']), job('node', cluster.nodeNames), job('gateway', ['gateway'])],
  });
}

const query = (expression: string) => prometheus.range(withoutVariables(expression, RATE_INTERVAL), startedAt);
const hasValues = (series: readonly RangeSeries[]) => series.some(({ values }) => values.some(Number.isFinite));

/** Answers before and after the death of a node in the middle of some: only then has every panel something to show. */
beforeAll(async () => {
  modelDirectory = await mkdtemp(join(tmpdir(), 'pangalactic-models-'));
  await writeRandomModel(join(modelDirectory, `${MODEL}.gguf`), SHAPE, { seed: 5, type: GgmlType.F16 });
  cluster = await startCluster({ nodes: 3, stages: 2, model: MODEL, modelDirectory });
  startedAt = Date.now() / 1_000;
  prometheus = await PrometheusServer.start(configuration());
  const load = await StreamingLoad.start(openaiClient(cluster), MODEL);
  const scraped = async () => (await query('min(count_over_time(up[1m])) >= 3')).length > 0;
  await until(async () => load.answered >= 8 && (await scraped()), {
    ...WAIT,
    message: 'load, and some scrapes of it',
  });

  const { pipeline } = await cluster.untilWhole(WAIT.timeoutMs);
  await cluster.kill(pipeline!.stages.at(-1)!.nodeId);
  const resumes = () => cluster.metric('gateway', 'pangalactic_request_resumes_total');
  await until(async () => (await resumes()) > 0, { ...WAIT, message: 'an answer goes on elsewhere' });
  const enough = load.answered + 16;
  await until(() => load.answered >= enough, { ...WAIT, message: 'load after that' });
  expect((await load.stop()).failures).toEqual([]);
});

afterAll(async () => {
  await prometheus?.stop();
  await cluster?.stop();
  await rm(modelDirectory, { recursive: true, force: true });
});

/** What every process that runs serves at /metrics. */
async function served(): Promise<string[]> {
  const running = ['hub', 'gateway', ...cluster.nodeNames].filter((name) => !cluster.process(name).ended);
  return Promise.all(running.map(async (name) => (await fetch(cluster.url(name, '/metrics'))).text()));
}

it('the processes serve the metrics of the catalogue, and no others of ours', async () => {
  const found = new Map<string, { readonly type: string; readonly help: string }>();
  for (const text of await served()) {
    for (const [, metric, help, type] of text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)$/gm)) {
      if (/^(pangalactic_|vllm:)/.test(metric!)) found.set(metric!, { type: type!, help: help! });
    }
  }
  const expected = METRIC_CATALOGUE.map(({ name, type, help }) => [name, { type, help }] as const);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
});

it('they are as promtool wants them, but for names that others gave', async () => {
  const problems = (await served()).flatMap(metricProblems);
  expect(problems.filter((problem) => !/^(vllm:|nodejs_active_\w+_total )/.test(problem))).toEqual([]);
});

describe('Prometheus', () => {
  it('scrapes every process that is there', async () => {
    const { activeTargets } = await prometheus.api<Targets>('targets');
    expect(activeTargets.map(({ health }) => health).sort()).toEqual(['down', 'up', 'up', 'up', 'up']);
  });

  it('evaluates every alert', async () => {
    const evaluated = async () => {
      const { groups } = await prometheus.api<Rules>('rules');
      const rules = groups.flatMap((group) => group.rules);
      return rules.every(({ health }) => health !== 'unknown') ? rules : undefined;
    };
    const rules = await until(evaluated, { ...WAIT, message: 'every rule was evaluated' });
    expect(rules.map(({ name }) => name).sort()).toEqual(
      alertRules()
        .map(({ alert }) => alert)
        .sort(),
    );
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  });

  it.each(alertRules())('has values for what $alert compares', async ({ expr }) => {
    const compared = expr.replace(/ (==|>=|>) [\d.]+/g, '').replace(/\[\d+m\]/g, `[${RATE_INTERVAL}]`);
    expect(hasValues(await prometheus.range(compared, startedAt))).toBe(true);
  });
});

describe.each(dashboards())('$title', ({ panels, templating }) => {
  it.each(panels.filter(({ type }) => type !== 'row'))('$title: has values', async ({ targets = [] }) => {
    for (const { expr } of targets) expect([expr, hasValues(await query(expr))]).toEqual([expr, true]);
  });

  it('offers values for its variables', async () => {
    for (const { definition } of templating.list) {
      const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(definition ?? '') ?? [];
      if (!selector || !label) continue;
      const match = { 'match[]': withoutVariables(selector, RATE_INTERVAL) };
      expect(await prometheus.api<string[]>(`label/${label}/values`, match)).not.toEqual([]);
    }
  });
});
