import { ActivationFormat, PangalacticError } from '@pangalactic/contracts';
import type { StoredNode, Pipeline } from '@pangalactic/scheduler';
import { z } from 'zod';

const text = z.string();
const count = z.number().int().nonnegative();

/** Absent in what hubs wrote before there was a choice. */
const activationFormat = z.enum(ActivationFormat).optional();

const storedNode: z.ZodType<StoredNode> = z.object({
  id: text.min(1),
  address: text.min(1),
  computeType: text,
  simulated: z.boolean(),
  memoryBytes: count,
  version: text,
  activationFormat,
  drained: z.boolean().optional(),
});

const pipeline: z.ZodType<Pipeline> = z.object({
  spec: z.object({
    id: text.min(1),
    modelId: text.min(1),
    fingerprint: text,
    stages: z
      .array(
        z.object({
          nodeId: text.min(1),
          address: text.min(1),
          layers: z.object({ from: count, to: count }),
          memoryBytes: count,
        }),
      )
      .min(1),
    contextLength: count,
    maxSequences: count,
    activationFormat,
  }),
  state: z.enum(['PLANNED', 'LOADING', 'READY', 'DRAINING', 'GONE', 'BROKEN']),
  since: z.number(),
  reason: text,
});

const deployedModels = z.array(text.min(1));

export const parseNode = (key: string, value: string): StoredNode => parse(storedNode, key, value);
export const parsePipeline = (key: string, value: string): Pipeline => parse(pipeline, key, value);
export const parseDeployedModels = (key: string, value: string): string[] => parse(deployedModels, key, value);

/** What an earlier hub wrote is read as carefully as anything from outside: disks and people change files. */
function parse<T>(schema: z.ZodType<T>, key: string, value: string): T {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch (cause) {
    throw new PangalacticError('corrupt_state', `state entry ${key}: not JSON`, { cause });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PangalacticError('corrupt_state', `state entry ${key}: ${issue?.path.join('.')}: ${issue?.message}`);
}
