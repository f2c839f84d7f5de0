import type { LoadModelRequest, StagePin } from '@pangalactic/contracts';
import { CommandError } from '../command-error';

export interface LoadFlags {
  readonly stages?: string;
  readonly replicas?: string;
  readonly context?: string;
  readonly sequences?: string;
  readonly layers?: readonly string[];
}

/** What the hub is asked; it knows what is allowed. @throws CommandError */
export function loadRequest(modelId: string, flags: LoadFlags): LoadModelRequest {
  const number = (name: string, text: string | undefined) =>
    text === undefined ? undefined : wholeNumber(`--${name}`, text);
  return {
    modelId,
    onRequest: false,
    stages: number('stages', flags.stages),
    replicas: number('replicas', flags.replicas),
    contextLength: number('context', flags.context),
    maxSequences: number('sequences', flags.sequences),
    pins: (flags.layers ?? []).map(stagePin),
  };
}

/** @throws CommandError */
export function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new CommandError(`${option} ${text}: allowed: a whole number`);
  return Number(text);
}

/** People count the last layer in. */
function stagePin(text: string): StagePin {
  const [, nodeId, first, last] = /^(.+)=(\d{1,6})-(\d{1,6})$/.exec(text) ?? [];
  if (nodeId === undefined) throw new CommandError(`--layers ${text}: allowed: node=first-last, such as node-1=0-11`);
  return { nodeId, layers: { from: Number(first), to: Number(last) + 1 } };
}
