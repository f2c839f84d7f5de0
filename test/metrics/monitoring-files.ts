import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { parse } from 'yaml';

export const ALERTS_PATH = repositoryPath('docker/prometheus/alerts.yml');
export const KUBERNETES_PATH = repositoryPath('k8s/monitoring/prometheus.yaml');
const DASHBOARDS_PATH = repositoryPath('docker/grafana/dashboards');

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
  readonly datasource: object;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: object;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly Target[];
}

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly definition?: string;
}

export interface Dashboard {
  readonly file: string;
  readonly uid: string;
  readonly title: string;
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
}

export function repositoryPath(path: string): string {
  return join(repositoryRoot(), path);
}

export function readRepositoryFile(path: string): string {
  return readFileSync(repositoryPath(path), 'utf8');
}

export function alertRules(): AlertRule[] {
  const { groups } = parse(readFileSync(ALERTS_PATH, 'utf8')) as { groups: { rules: AlertRule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export function dashboards(): Dashboard[] {
  return readdirSync(DASHBOARDS_PATH).map((file) => ({
    file: basename(file),
    ...(JSON.parse(readFileSync(join(DASHBOARDS_PATH, file), 'utf8')) as Omit<Dashboard, 'file'>),
  }));
}

/** Of our own metrics those that an expression asks for; a histogram's parts count as the histogram. */
export function metricsIn(expression: string): string[] {
  const names = expression.match(/\b(?:pangalactic_|vllm:)[a-z0-9_]+/g) ?? [];
  return names.map((name) => name.replace(/_(bucket|sum|count)$/, ''));
}

/** As Grafana asks it with everything chosen. */
export function withoutVariables(expression: string, rateInterval: string): string {
  return expression.replaceAll('$__rate_interval', rateInterval).replace(/\$(model|pipeline)\b/g, '.*');
}

/** GitHub's anchors of a page's headings. */
export function anchorsOf(page: string): Set<string> {
  const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!.toLowerCase());
  return new Set(headings.map((heading) => heading.replace(/[^\w\- ]/g, '').replaceAll(' ', '-')));
}
