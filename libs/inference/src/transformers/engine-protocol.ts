import { type ErrorCode, PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import type { ShardSpec, SlotCommand, StepInput, StepOutput } from '../inference-provider';
import type { GpuCheck } from './engine/gpu-check';
import type { EngineOptions } from './engine/shard-engine';

export interface ShardInput {
  readonly spec: ShardSpec;
  readonly options: EngineOptions;
}

/** Either one check of the GPU, or a load and what follows it. */
export type ToEngine =
  | { readonly kind: 'check-gpu' }
  | ({ readonly kind: 'load' } & ShardInput)
  | { readonly kind: 'command'; readonly command: SlotCommand }
  | { readonly kind: 'run'; readonly id: number; readonly step: StepInput }
  | { readonly kind: 'close' };

export type FromEngine =
  | { readonly kind: 'checked'; readonly check: GpuCheck }
  | { readonly kind: 'progress'; readonly fraction: number }
  | { readonly kind: 'loaded'; readonly memoryBytes: number }
  | { readonly kind: 'failed'; readonly error: SerialisedError }
  | { readonly kind: 'output'; readonly id: number; readonly output: StepOutput }
  | { readonly kind: 'error'; readonly id: number; readonly error: SerialisedError };

export interface SerialisedError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Classes do not survive a message. */
export function serialiseError(error: unknown): SerialisedError {
  const { code, message } = toPangalacticError(error);
  return { code, message };
}

export function deserialiseError({ code, message }: SerialisedError): PangalacticError {
  return new PangalacticError(code, message);
}
