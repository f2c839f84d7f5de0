import { setTimeout as delay } from 'node:timers/promises';
import type { LoadModelRequest } from '@pangalactic/contracts';
import { callHub, HUB_DEADLINE_MS } from '../call-hub';
import { CommandError } from '../command-error';
import type { LoadDisplay } from './load-display';
import { modelReport, type ModelReport } from './model-report';
import { stagesText } from './model-tables';
import { readModel } from './read-models';

const POLL_MS = 500;
/** Other models may have to finish and to make room first; what takes longer takes more than time. */
const WAITING_PATIENCE_MS = 30_000;

export interface LoadOptions {
  readonly hubAddress: string;
  readonly request: LoadModelRequest;
  readonly timeoutMs: number;
  readonly display: LoadDisplay;
}

/**
 * Loads a model and waits until a pipeline serves it as the request says; one of an earlier wish does not count.
 * @returns what to tell the operator
 * @throws CommandError when the hub refuses, or with what the model waits for
 */
export async function loadModel({ hubAddress, request, timeoutMs, display }: LoadOptions): Promise<string> {
  await callHub(hubAddress, (hub) => hub.loadModel(request, { deadlineMs: HUB_DEADLINE_MS }));
  const deadline = performance.now() + timeoutMs;
  let waitingSince: number | undefined;
  try {
    for (;;) {
      const model = modelReport(await readModel(hubAddress, request.modelId));
      display.show({ ...model, state: model.wanted_state });
      if (model.wanted_state === 'READY') return readyText(model);
      if (model.wanted_by === null) throw new CommandError(`${model.model} was unloaded meanwhile`);
      const now = performance.now();
      waitingSince = model.wanted_state === 'WAITING' ? (waitingSince ?? now) : undefined;
      const stuck = waitingSince !== undefined && now - waitingSince > WAITING_PATIENCE_MS;
      if (stuck || now > deadline) throw new CommandError(notReadyText(model));
      await delay(POLL_MS);
    }
  } finally {
    display.end();
  }
}

function readyText(model: ModelReport): string {
  const ready = model.pipelines.filter(({ state }) => state === 'READY');
  const pipelines = ready.map((pipeline) => {
    const { context_length, max_sequences } = pipeline;
    return `${stagesText(pipeline, ', ')}: ${max_sequences} sequences of ${context_length} tokens`;
  });
  return [`${model.model} is READY`, ...pipelines].join('\n');
}

function notReadyText({ model, state, wanted_state, waiting_for }: ModelReport): string {
  const served = state === 'READY' ? ' It is served as it was wanted before.' : '';
  return `${model} is ${wanted_state}, not READY: ${waiting_for}.${served} It stays wanted until \`model unload ${model}\``;
}
