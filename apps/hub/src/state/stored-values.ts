import { ActivationFormat, PangalacticError } from '@pangalactic/contracts';
import type { StoredDeployment, StoredNode, Pipeline } from '@pangalactic/scheduler';
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
  drainTimeoutMs: count.optional(),
  drained: z.boolean().optional(),
  held: z.array(z.object({ id: text.min(1), contextLength: count })).optional(),
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
  replaces: text.optional(),
});

/** Hubs that could not be told how to run a model wrote its id alone. */
const modelAlone = text
  .min(1)
  .transform((modelId): StoredDeployment => ({ modelId, replicas: 1, stages: 0, pins: [], origin: 'CONFIGURATION' }));

const deployment: z.ZodType<StoredDeployment> = z.object({
  modelId: text.min(1),
  replicas: count.default(1),
  stages: count.default(0),
  contextLength: count.min(1).optional(),
  maxSequences: count.min(1).optional(),
  pins: z.array(z.object({ nodeId: text.min(1), layers: z.object({ from: count, to: count }) })).default([]),
  origin: z.enum(['CONFIGURATION', 'OPERATOR', 'REQUEST']).default('CONFIGURATION'),
});

const deployments = z.array(z.union([modelAlone, deployment]));

export const parseNode = (key: string, value: string): StoredNode => parse(storedNode, key, value);
export const parsePipeline = (key: string, value: string): Pipeline => parse(pipeline, key, value);
export const parseDeployments = (key: string, value: string): StoredDeployment[] => parse(deployments, key, value);

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
