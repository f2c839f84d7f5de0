import { type PipelineSizing, type Shortage, sizePipeline, type WantedLimits } from '@pangalactic/scheduler';
import { formatBytes, table } from '../cluster/cluster-tables';
import { CommandError } from '../command-error';
import { fileSize } from './file-size';
import { findModelToPlan, type ModelToPlan } from './model-to-plan';
import { parseNodeKinds } from './node-kinds';

export interface PlanFlags {
  readonly nodes: string;
  readonly context?: string;
  readonly sequences?: string;
  readonly json?: true;
}

/** Answers `model plan`. A model that does not fit is an answer, too, but the exit code says so. */
export async function planModel(name: string, flags: PlanFlags): Promise<string> {
  const kinds = parseNodeKinds(flags.nodes);
  const model = await findModelToPlan(name);
  const sizing = sizePipeline(model.info, kinds, {
    ...limit('contextLength', '--context', flags.context, model.info.contextLength),
    ...limit('maxSequences', '--sequences', flags.sequences, 1024),
  });
  if (!sizing.plan) process.exitCode = 1;
  return flags.json ? JSON.stringify(sizingReport(model, sizing), null, 2) : sizingText(model, sizing);
}

function limit(key: keyof WantedLimits, flag: string, text: string | undefined, most: number): WantedLimits {
  if (text === undefined) return {};
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= most) return { [key]: value };
  throw new CommandError(`${flag} ${text}: allowed: an integer from 1 to ${most}`);
}

export function sizingText(model: ModelToPlan, sizing: PipelineSizing): string {
  const { info, described } = model;
  return [
    `${info.id}: ${described}, ${info.layers} layers, context up to ${info.contextLength} tokens, file ${fileSize(info.fileBytes)}`,
    `weights: ${formatBytes(sizing.weightBytes)} in the engine; KV cache: ${formatBytes(sizing.kvBytesPerToken)} per token of a sequence`,
    ...(sizing.plan ? planLines(sizing.plan) : []),
    ...(sizing.shortage ? [`does not fit: ${shortageText(sizing.shortage, info.layers)}`] : []),
    ...sizing.fewestNodes.map(fewestText),
  ].join('\n');
}

function planLines({ stages, contextLength, maxSequences }: NonNullable<PipelineSizing['plan']>): string[] {
  const head = ['node', 'layers', 'weights', 'KV cache', 'workspace', 'all', 'of memory'];
  const rows = stages.map(({ nodeId, nodeBytes, layers, memory }) => [
    nodeId,
    `[${layers.from}, ${layers.to})`,
    ...[memory.weights, memory.kv, memory.workspace, memory.total, nodeBytes].map(formatBytes),
  ]);
  return [`fits: ${sequencesOf({ contextLength, maxSequences })}`, table(head, rows, '')];
}

function shortageText({ part, limits, neededBytes, usableBytes, layers }: Shortage, layerCount: number): string {
  const [needed, offered] = [neededBytes, usableBytes].map(formatBytes);
  const all = `all nodes together offer ${offered} (85 % of their memory)`;
  switch (part) {
    case 'weights':
      return `the weights need ${needed}, ${all}`;
    case 'kv':
      return `weights and KV cache of ${sequencesOf(limits)} need ${needed}, ${all}`;
    case 'workspace':
      return `weights, KV cache and workspace of ${sequencesOf(limits)} need ${needed}, ${all}`;
    case 'split':
      return `no division into contiguous layers has room for ${sequencesOf(limits)}: it would take ${needed}, ${all}`;
    case 'stage': {
      const extra = layers!.from === 0 ? ' and the embedding' : layers!.to === layerCount ? ' and the output head' : '';
      return `layer ${layers!.from}${extra} alone need ${needed} (${sequencesOf(limits)}), the roomiest node offers ${offered}`;
    }
  }
}

function fewestText({ memoryBytes, nodes, limits }: PipelineSizing['fewestNodes'][number]): string {
  const size = formatBytes(memoryBytes);
  if (nodes === undefined || !limits) return `nodes of ${size}: no number of them is enough`;
  return `nodes of ${size}: ${nodes === 1 ? '1 is' : `${nodes} are`} enough for ${sequencesOf(limits)}`;
}

function sequencesOf({ contextLength, maxSequences }: { contextLength: number; maxSequences: number }): string {
  return `${maxSequences} ${maxSequences === 1 ? 'sequence' : 'sequences'} of ${contextLength} tokens`;
}

/** What `--json` prints: stable names in snake_case, sizes in bytes, layers as [from, to). */
export function sizingReport({ info }: ModelToPlan, { plan, shortage, ...sizing }: PipelineSizing): object {
  return {
    model: info.id,
    layers: info.layers,
    file_bytes: info.fileBytes,
    weight_bytes: sizing.weightBytes,
    kv_bytes_per_token: sizing.kvBytesPerToken,
    usable_bytes: sizing.usableBytes,
    context_length: plan?.contextLength ?? null,
    max_sequences: plan?.maxSequences ?? null,
    stages: (plan?.stages ?? []).map(({ nodeId, nodeBytes, layers, memory }) => ({
      node: nodeId,
      layers: [layers.from, layers.to],
      weight_bytes: memory.weights,
      kv_bytes: memory.kv,
      workspace_bytes: memory.workspace,
      memory_bytes: nodeBytes,
    })),
    shortage: shortage
      ? { part: shortage.part, needed_bytes: shortage.neededBytes, usable_bytes: shortage.usableBytes }
      : null,
    fewest_nodes: sizing.fewestNodes.map(({ memoryBytes, nodes, limits }) => ({
      memory_bytes: memoryBytes,
      nodes: nodes ?? null,
      context_length: limits?.contextLength ?? null,
      max_sequences: limits?.maxSequences ?? null,
    })),
  };
}
