import { METRIC_CATALOGUE } from '@pangalactic/observability';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { dashboards, metricsIn, readRepositoryFile, type Panel } from './monitoring-files';

const KNOWN = new Set(METRIC_CATALOGUE.map(({ name }) => name));
/** What every Node process says of itself, as far as it is shown. */
const NODE_METRICS = /\b(nodejs|process)_[a-z0-9_]+/g;
const SHOWN_NODE_METRICS = [
  'nodejs_eventloop_lag_p99_seconds',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
];

const all = dashboards();

it('there are three, each under a name of its own', () => {
  expect(all.map(({ file, uid }) => [file, uid]).sort()).toEqual(
    ['hub', 'overview', 'pipeline'].map((name) => [`${name}.json`, `pangalactic-${name}`]),
  );
});

it('they show every metric of ours but those that are for others', () => {
  const shown = new Set(
    all.flatMap(({ panels }) => panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => metricsIn(expr)))),
  );
  const missing = [...KNOWN].filter((name) => !shown.has(name));
  expect(missing).toEqual(
    [
      'vllm:num_requests_waiting',
      'vllm:num_requests_running',
      'vllm:kv_cache_usage_perc',
      // The same as the gateways count, and by model there.
      ...[
        'pangalactic_kv_cache_usage_perc',
        'pangalactic_node_generated_tokens_total',
        'pangalactic_node_slots_in_use',
      ],
    ].sort((a, b) => [...KNOWN].indexOf(a) - [...KNOWN].indexOf(b)),
  );
});

describe.each(all)('$title', ({ templating, panels }) => {
  const drawn = panels.filter(({ type }) => type !== 'row');
  const queries = drawn.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  it('lets its reader choose the data source and what is of interest', () => {
    const [source, ...others] = templating.list;
    expect(source).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
    for (const { name, definition } of others) {
      expect(metricsIn(definition ?? '').filter((metric) => !KNOWN.has(metric))).toEqual([]);
      expect(queries.some((query) => query.includes(`$${name}`))).toBe(true);
    }
    const names = templating.list.map(({ name }) => name);
    const used = queries.flatMap((query) => [...query.matchAll(/\$([a-z]\w*)/g)].map(([, name]) => name!));
    expect(used.filter((name) => !names.includes(name))).toEqual([]);
  });

  it.each(drawn)('$title: has a description, a unit and queries for metrics that there are', (panel) => {
    expect(panel.description).toMatch(/^\S.*\.$/);
    expect(panel.datasource).toEqual({ type: 'prometheus', uid: '${datasource}' });
    if (panel.type !== 'table' && panel.type !== 'heatmap') expect(panel.fieldConfig?.defaults.unit).toBeTruthy();
    expect(panel.targets?.length).toBeGreaterThan(0);
    for (const { expr, datasource } of panel.targets ?? []) {
      expect(datasource).toEqual(panel.datasource);
      expect(metricsIn(expr).filter((name) => !KNOWN.has(name))).toEqual([]);
      expect((expr.match(NODE_METRICS) ?? []).filter((name) => !SHOWN_NODE_METRICS.includes(name))).toEqual([]);
      expect(expr).not.toMatch(/rate\([^[]*\[(?!\$__rate_interval)/);
    }
  });

  it('has no two panels in one place', () => {
    const taken = new Set<string>();
    for (const { gridPos, title } of panels) {
      for (const cell of cells(gridPos)) {
        expect(taken.has(cell), `${title} at ${cell}`).toBe(false);
        taken.add(cell);
      }
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });
});

it('Grafana finds them, and its data source', () => {
  const provisioning = 'docker/grafana/provisioning';
  const { datasources } = parse(readRepositoryFile(`${provisioning}/datasources/prometheus.yml`)) as {
    datasources: { type: string; url: string; jsonData: { timeInterval: string } }[];
  };
  const prometheus = parse(readRepositoryFile('docker/prometheus/prometheus.yml')) as {
    global: { scrape_interval: string };
  };
  expect(datasources).toMatchObject([{ type: 'prometheus', url: 'http://prometheus:9090', isDefault: true }]);
  expect(datasources[0]!.jsonData.timeInterval).toBe(prometheus.global.scrape_interval);
  expect(parse(readRepositoryFile(`${provisioning}/dashboards/pangalactic.yml`))).toMatchObject({
    providers: [{ type: 'file', options: { path: '/var/lib/grafana/dashboards' } }],
  });
});

function cells({ x, y, w, h }: Panel['gridPos']): string[] {
  expect(x + w).toBeLessThanOrEqual(24);
  return Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`);
}
