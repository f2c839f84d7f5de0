import { Counter, Gauge, Histogram } from 'prom-client';
import type { MetricDefinition, MetricDefinitions } from './metric-definition';

type Metric<Definition> =
  Definition extends MetricDefinition<'counter', infer Label>
    ? Counter<Label>
    : Definition extends MetricDefinition<'gauge', infer Label>
      ? Gauge<Label>
      : Definition extends MetricDefinition<'histogram', infer Label>
        ? Histogram<Label>
        : never;

export type Metrics<Definitions extends MetricDefinitions> = {
  readonly [Key in keyof Definitions]: Metric<Definitions[Key]>;
};

/** Registers the metrics of a catalogue with the process's registry, to be counted under the catalogue's keys. */
export function createMetrics<Definitions extends MetricDefinitions>(definitions: Definitions): Metrics<Definitions> {
  const entries = Object.entries(definitions).map(([key, definition]) => [key, create(definition)]);
  return Object.fromEntries(entries) as Metrics<Definitions>;
}

/** One value of a gauge with its labels. */
export type Sample<Label extends string> = readonly [labels: Partial<Record<Label, string | number>>, value: number];

/** The gauge is what `read` returns whenever somebody scrapes, and nothing of earlier scrapes. */
export function readOnScrape<Label extends string>(metric: Gauge<Label>, read: () => Iterable<Sample<Label>>): void {
  const collect = (): void => {
    metric.reset();
    for (const [labels, value] of read()) metric.set(labels, value);
  };
  Object.assign(metric, { collect });
}

function create({ type, name, help, labels, buckets = [] }: MetricDefinition): Counter | Gauge | Histogram {
  const configuration = { name, help, labelNames: [...labels] };
  switch (type) {
    case 'counter':
      return new Counter(configuration);
    case 'gauge':
      return new Gauge(configuration);
    case 'histogram':
      return new Histogram({ ...configuration, buckets: [...buckets] });
  }
}
