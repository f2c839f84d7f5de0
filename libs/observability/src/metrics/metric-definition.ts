/**
 * Every label that a metric may have, and what bounds its values. Nothing that a client can make up is a label, and no id of
 * a request, a key or an attempt.
 */
export const LABELS = {
  process: '`hub`, `node`, `gateway`',
  version: 'of this process',
  node_version: 'of this process',
  method: 'HTTP methods that Node knows',
  route: 'route patterns of the process; `unmatched` for any other path',
  status: 'HTTP statuses; `499`: the client left before the end',
  code: 'codes of the [error catalogue](errors.md)',
  model: 'models that are deployed',
  finished_reason: '`stop`, `length`',
  pipeline: 'pipelines that the node holds now: the series end with their pipeline',
  stage: 'stages of a pipeline, from 0',
  layers: 'of a stage, as `[from,to)`; the series end with its pipeline',
  phase: '`prefill`, `decode`',
  time: '`computing`, `bubble`',
  state:
    'of nodes `CONNECTED`, `RECONNECTING`, `LEAVING`, `SUSPECT`, `FAILED`; of pipelines `PLANNED`, `LOADING`, `READY`, `DRAINING`, `GONE`, `BROKEN`',
  event: "events of the hub's log about nodes, pipelines and deployments",
  backend: '`sqlite`, `etcd`',
  operation: '`commit`, `get`, `list`',
} as const;

export type LabelName = keyof typeof LABELS;
export type MetricType = 'counter' | 'gauge' | 'histogram';

export interface MetricDefinition<Type extends MetricType = MetricType, Label extends LabelName = LabelName> {
  readonly type: Type;
  readonly name: string;
  /** One sentence, with the unit where the name has none. */
  readonly help: string;
  readonly labels: readonly Label[];
  /** Of a histogram: upper bounds, rising. */
  readonly buckets?: readonly number[];
}

export type MetricDefinitions = Readonly<Record<string, MetricDefinition>>;

export function counter<Label extends LabelName = never>(
  name: string,
  help: string,
  labels: readonly Label[] = [],
): MetricDefinition<'counter', Label> {
  return { type: 'counter', name, help, labels };
}

export function gauge<Label extends LabelName = never>(
  name: string,
  help: string,
  labels: readonly Label[] = [],
): MetricDefinition<'gauge', Label> {
  return { type: 'gauge', name, help, labels };
}

export function histogram<Label extends LabelName = never>(
  name: string,
  help: string,
  buckets: readonly number[],
  labels: readonly Label[] = [],
): MetricDefinition<'histogram', Label> {
  return { type: 'histogram', name, help, labels, buckets };
}
