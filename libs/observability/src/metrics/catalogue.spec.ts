import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { METRIC_CATALOGUE, type CataloguedMetric, type MetricOwner } from './catalogue';
import { LABELS } from './metric-definition';

const INTRODUCTION = `# Metrics

Every process serves its metrics at \`/metrics\` in Prometheus' text format, without a key: the hub at \`HUB_HTTP_ADDR\`, a node at
\`NODE_HTTP_ADDR\`, a gateway at \`GATEWAY_BIND_ADDR\`. Times are seconds. Names and meanings are vLLM's wherever vLLM has the metric, with the
prefix \`pangalactic_\`; three are also there under vLLM's own names. What prom-client says about any Node process (\`process_*\`, \`nodejs_*\`) comes
on top. [operations.md](operations.md) and [troubleshooting.md](troubleshooting.md) say what to do about them,
[decisions/017-metrics.md](decisions/017-metrics.md) why they are as they are.

This page is made from the catalogue in libs/observability: \`npx vitest run --project unit libs/observability --update\` writes it anew.
`;

const OWNERS: Readonly<Record<MetricOwner, string>> = {
  'every process': 'Every process',
  'nodes and gateways': 'Nodes and gateways',
  gateway: 'Gateway',
  node: 'Node',
  hub: 'Hub',
};

const TABLE_HEAD = ['| metric | type | labels | meaning |', '|---|---|---|---|'];

function row({ name, type, labels, help, buckets }: CataloguedMetric): string {
  const meaning = buckets ? `${help} Buckets ${buckets.at(0)} to ${buckets.at(-1)}.` : help;
  return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${meaning} |`;
}

function section([owner, title]: [string, string]): string {
  const rows = METRIC_CATALOGUE.filter((metric) => metric.owner === owner).map(row);
  return [`\n## ${title}\n`, ...TABLE_HEAD, ...rows, ''].join('\n');
}

function labelSection(): string {
  const rows = Object.entries(LABELS).map(([label, values]) => `| \`${label}\` | ${values} |`);
  return ['\n## Labels\n', '| label | values |', '|---|---|', ...rows, ''].join('\n');
}

it('docs/metrics.md lists every metric and what bounds its labels', async () => {
  const page = INTRODUCTION + Object.entries(OWNERS).map(section).join('') + labelSection();
  await expect(page).toMatchFileSnapshot(join(repositoryRoot(), 'docs/metrics.md'));
});

describe.each(METRIC_CATALOGUE)('$name', ({ name, type, help, labels, buckets = [] }) => {
  it('is named by the rules of Prometheus', () => {
    expect(name).toMatch(/^(pangalactic_|vllm:)[a-z0-9_]+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(name).not.toMatch(/_(ms|milliseconds|count|sum|bucket)$/);
    expect(help).toMatch(/^\S.*\.$/);
  });

  it('has few labels, and buckets that rise', () => {
    expect(new Set(labels).size).toBe(labels.length);
    expect(labels.length).toBeLessThanOrEqual(4);
    expect(buckets.length).toBe(type === 'histogram' ? new Set(buckets).size : 0);
    expect([...buckets].sort((a, b) => a - b)).toEqual(buckets);
  });
});

it('there is each name once, and no label that no metric has', () => {
  const names = METRIC_CATALOGUE.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const used = new Set<string>(METRIC_CATALOGUE.flatMap(({ labels }) => labels));
  expect(Object.keys(LABELS).filter((label) => !used.has(label))).toEqual([]);
});
