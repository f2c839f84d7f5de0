import { formatBytes, table } from '../cluster/cluster-tables';
import type { ModelPipelineReport, ModelReport } from './model-report';

const WANTED_BY: Readonly<Record<string, string>> = {
  CONFIGURATION: 'HUB_MODELS',
  OPERATOR: 'model load',
  REQUEST: 'a client',
};

export function modelTable(models: readonly ModelReport[]): string {
  return table(
    ['model', 'state', 'size', 'layers', 'context', 'held by', 'pipelines'],
    models.map((model) => [
      model.model,
      stateText(model),
      model.versions.map(({ file_bytes }) => formatBytes(file_bytes)).join('\n'),
      model.versions.map(({ layers }) => String(layers)).join('\n'),
      String(model.context_length),
      model.versions.map(({ nodes }) => nodes.join(', ')).join('\n'),
      model.pipelines.map(({ pipeline, state }) => (state === 'READY' ? pipeline : `${pipeline} ${state}`)).join('\n'),
    ]),
    'no node holds a model',
  );
}

export function modelText(model: ModelReport): string {
  const wantedBy = WANTED_BY[model.wanted_by ?? ''];
  return [
    `${model.model}: ${stateText(model)}${wantedBy === undefined ? '' : `, wanted by ${wantedBy}`}`,
    ...(model.waiting_for === null ? [] : [`waits for ${model.waiting_for}`]),
    `${model.context_length} tokens of context`,
    table(
      ['architecture', 'layers', 'trained context', 'size', 'fingerprint', 'held by'],
      model.versions.map((version) => [
        version.architecture,
        String(version.layers),
        String(version.context_length),
        formatBytes(version.file_bytes),
        version.fingerprint.slice(0, 12),
        version.nodes.join('\n'),
      ]),
      'no connected node holds it',
    ),
    table(
      ['pipeline', 'state', 'sequences', 'context', 'stages'],
      model.pipelines.map((pipeline) => [
        pipeline.pipeline,
        pipeline.reason === null ? pipeline.state : `${pipeline.state}: ${pipeline.reason}`,
        `${pipeline.running_sequences} of ${pipeline.max_sequences}`,
        String(pipeline.context_length),
        stagesText(pipeline, '\n'),
      ]),
      'no pipeline',
    ),
  ].join('\n');
}

export function stagesText({ stages }: ModelPipelineReport, separator: string): string {
  return stages.map(({ node, layers: [from, to] }) => `${node} [${from}, ${to})`).join(separator);
}

export function stateText({ state, progress, eta_seconds }: ModelReport): string {
  if (state !== 'LOADING') return state;
  const left = eta_seconds === null ? '' : `, ${Math.ceil(eta_seconds)} s left`;
  return `${state} ${Math.floor(progress * 100)} %${left}`;
}
