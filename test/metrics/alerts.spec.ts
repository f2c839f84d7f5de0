import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERROR_CATALOGUE } from '@pangalactic/contracts';
import { METRIC_CATALOGUE } from '@pangalactic/observability';
import { promtool } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import {
  ALERTS_PATH,
  alertRules,
  anchorsOf,
  KUBERNETES_PATH,
  metricsIn,
  readRepositoryFile,
  repositoryPath,
} from './monitoring-files';

const TEST_PATH = repositoryPath('test/metrics/alerts.test.yml');
const KNOWN = new Set(METRIC_CATALOGUE.map(({ name }) => name));

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
}

const kubernetesObjects = () =>
  parseAllDocuments(readFileSync(KUBERNETES_PATH, 'utf8')).map((document) => document.toJS() as KubernetesObject);
const configMap = () => kubernetesObjects().find(({ kind }) => kind === 'ConfigMap')?.data ?? {};

describe('the rules', () => {
  it('are rules, by promtool', () => {
    expect(promtool('check', 'rules', '--lint-fatal', ALERTS_PATH)).toContain(`${alertRules().length} rules found`);
  });

  it('hold what their cases say', () => {
    promtool('test', 'rules', TEST_PATH);
  });

  it('have a case each that raises them', () => {
    const { tests } = parse(readFileSync(TEST_PATH, 'utf8')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const cases = tests.flatMap(({ alert_rule_test: each }) => each);
    const raised = new Set(cases.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname));
    expect(alertRules().filter(({ alert }) => !raised.has(alert))).toEqual([]);
  });

  it('know every error code that a client can cause', () => {
    const rule = alertRules().find(({ alert }) => alert === 'PangalacticRequestsFail');
    const excluded = /code!~"([^"]+)"/.exec(rule?.expr ?? '')?.[1]?.split('|');
    const codes = Object.entries(ERROR_CATALOGUE).filter(([, { http }]) => http < 500);
    expect(excluded?.sort()).toEqual(codes.map(([code]) => code).sort());
  });
});

describe.each(alertRules())('$alert', ({ alert, expr, labels, annotations }) => {
  it('asks for metrics that there are', () => {
    expect(metricsIn(expr).filter((name) => !KNOWN.has(name))).toEqual([]);
  });

  it('says how bad it is, and where to read on', () => {
    expect(['critical', 'warning', 'info']).toContain(labels.severity);
    const [file, anchor] = annotations.runbook.split('#');
    expect([file, anchor]).toEqual(['docs/troubleshooting.md', alert.toLowerCase()]);
    expect(anchorsOf(readRepositoryFile(file!))).toContain(anchor);
  });
});

describe('the configuration for Compose', () => {
  it('is one, by promtool', () => {
    expect(promtool('check', 'config', repositoryPath('docker/prometheus/prometheus.yml'))).toContain('SUCCESS');
  });
});

describe('the configuration for Kubernetes', () => {
  it('carries the same rules', async () => {
    const rules = readFileSync(ALERTS_PATH, 'utf8').trimEnd();
    const block = rules.split('\n').map((line) => (line === '' ? '' : `    ${line}`));
    const manifest = readFileSync(KUBERNETES_PATH, 'utf8');
    const withRules = manifest.replace(/^ {2}alerts\.yml: \|\n[^]*?(?=^---$)/m, () =>
      ['  alerts.yml: |', ...block, ''].join('\n'),
    );
    // `npx vitest run --project system test/metrics/alerts.spec.ts --update` copies them.
    await expect(withRules).toMatchFileSnapshot(KUBERNETES_PATH);
    expect(configMap()['alerts.yml']?.trimEnd()).toBe(rules);
  });

  it('is one, by promtool, but for the discovery that Debian leaves out', () => {
    const discovery = /^( *)kubernetes_sd_configs:\n(?:\1 .*\n)+/m;
    const config = configMap()['prometheus.yml']!;
    expect(parse(config)).toMatchObject({
      scrape_configs: [
        { kubernetes_sd_configs: [{ role: 'pod', namespaces: { own_namespace: true } }] },
        { job_name: 'prometheus' },
      ],
    });
    const folder = mkdtempSync(join(tmpdir(), 'pangalactic-promtool-'));
    try {
      const path = join(folder, 'prometheus.yml');
      writeFileSync(path, config.replace(discovery, "$1static_configs: [{ targets: ['pod:1'] }]\n"));
      writeFileSync(join(folder, 'alerts.yml'), configMap()['alerts.yml']!);
      expect(promtool('check', 'config', path)).toContain('SUCCESS');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('goes into whatever namespace it is applied to', () => {
    expect(kubernetesObjects().map(({ kind, metadata }) => [kind, metadata.name, metadata.namespace])).toEqual(
      ['ServiceAccount', 'Role', 'RoleBinding', 'ConfigMap', 'PersistentVolumeClaim', 'Deployment', 'Service'].map(
        (kind) => [kind, 'prometheus', undefined],
      ),
    );
    expect(readFileSync(KUBERNETES_PATH, 'utf8')).not.toMatch(/namespace: (?!true)/);
  });
});
