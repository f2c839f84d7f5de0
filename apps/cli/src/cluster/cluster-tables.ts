import Table from 'cli-table3';
import type { ClusterReport, NodeReport, PipelineReport, ShardReport } from './cluster-report';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(bytes, 1)) / 10)));
  const value = bytes / 1024 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${UNITS[power]}`;
}

/** One line per node: where it is, which layers it runs, how much memory that takes. */
export function topologyTable(report: ClusterReport): string {
  return table(
    ['node', 'address', 'state', 'layers', 'memory'],
    report.nodes.map((node) => [node.node, node.address, stateOf(node), layersOf(node), memoryOf(node)]),
    'no node has registered',
  );
}

/** What is running, what is wrong, what is being waited for. */
export function statusText(report: ClusterReport): string {
  const nodes = table(
    ['node', 'state', 'compute', 'last heartbeat', 'models'],
    report.nodes.map((node) => [
      node.node,
      stateOf(node),
      node.simulated ? `${node.compute_type} (simulated)` : node.compute_type,
      `${(node.heartbeat_age_ms / 1000).toFixed(1)} s ago`,
      node.models.join('\n'),
    ]),
    'no node has registered',
  );
  const pipelines = table(
    ['model', 'pipeline', 'state', 'stages'],
    report.pipelines.map((pipeline) => [
      pipeline.model,
      pipeline.pipeline,
      pipeline.reason ? `${pipeline.state}: ${pipeline.reason}` : pipeline.state,
      stagesOf(pipeline),
    ]),
    'no pipeline',
  );
  return [`cluster ${report.cluster_id}, term ${report.term}`, nodes, pipelines, ...troubles(report)].join('\n');
}

function troubles({ deployments, nodes }: ClusterReport): string[] {
  return [
    ...deployments.flatMap(({ model, waiting_for }) => (waiting_for ? [`${model} waits for ${waiting_for}`] : [])),
    ...nodes.flatMap(({ node, rejected }) => rejected.map(({ file, reason }) => `${node} rejects ${file}: ${reason}`)),
  ];
}

function stateOf({ state, drained }: NodeReport): string {
  return drained ? `${state}, drained` : state;
}

function layersOf({ shards }: NodeReport): string {
  return shards.map(shardText).join('\n') || '-';
}

function shardText({ model, state, layers }: ShardReport): string {
  const range = `${model} ${rangeText(layers)}`;
  return state === 'READY' ? range : `${range} ${state}`;
}

function stagesOf({ stages }: PipelineReport): string {
  return stages.map(({ node, layers }) => `${node} ${rangeText(layers)}`).join('\n');
}

function rangeText([from, to]: readonly [number, number]): string {
  return `[${from}, ${to})`;
}

function memoryOf({ used_bytes, memory_bytes }: NodeReport): string {
  return `${formatBytes(used_bytes)} of ${formatBytes(memory_bytes)}`;
}

export function table(head: string[], rows: string[][], whenEmpty: string): string {
  if (rows.length === 0) return whenEmpty;
  // No colours: the output is piped and compared as often as it is read.
  const lines = new Table({ head, style: { head: [], border: [], compact: true } });
  lines.push(...rows);
  return lines.toString();
}
