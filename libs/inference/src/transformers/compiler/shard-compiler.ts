import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { LayerRange } from '@pangalactic/contracts';
import { type GgufFile, type ModelDescription, ROPE_FACTORS } from '@pangalactic/models';
import { rotaryTables } from './rotary-tables';
import { buildShardGraph } from './shard-graph';
import type { WeightCache } from './weight-cache';
import { writeWeights } from './weight-file';
import { unpackFloats } from './weight-packing';
import { layerWeightPlan, outputWeightPlan, type WeightPlan } from './weight-plan';

/** Raised when the packing or its layout changes, so that old caches are not read. */
const PACKING_VERSION = 2;

export interface CompileOptions {
  readonly model: GgufFile;
  readonly description: ModelDescription;
  readonly fingerprint: string;
  readonly layers: LayerRange;
  readonly positions: number;
  readonly sentinel: boolean;
  readonly cache: WeightCache;
  readonly onProgress: (fraction: number) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface CompiledShard {
  readonly graph: Uint8Array;
  readonly weightFolder: string;
}

/**
 * Turns a layer range of a GGUF file into an ONNX graph and packed weight files, reading only the range's tensors. Files
 * are per layer and named by the model's fingerprint: another range of the same model finds its layers again, and so does
 * the next load after one that was given up.
 */
export async function compileShard(options: CompileOptions): Promise<CompiledShard> {
  const { model, description, fingerprint, layers, positions, sentinel, cache, onProgress, signal } = options;
  const weightFolder = cache.folder(fingerprint, PACKING_VERSION);
  const layerPlans = Array.from({ length: layers.to - layers.from }, (_, index) =>
    layerWeightPlan(model.header, description, layers.from + index),
  );
  const outputPlan = layers.to === description.layers ? outputWeightPlan(model.header, description) : undefined;
  const plans: WeightPlan[] = [...layerPlans, ...(outputPlan ? [outputPlan] : [])];
  const weightBytes = plans.reduce((bytes, plan) => bytes + plan.bytes, 0);

  let done = 0;
  for (const plan of plans) {
    signal?.throwIfAborted();
    const write = (file: FileHandle) => writeWeights(model, plan, file, { headSize: description.headSize, signal });
    await cache.ensure(join(weightFolder, plan.file), plan.bytes, write);
    done += plan.bytes;
    onProgress(done / weightBytes);
  }
  const rotary = rotaryTables(description, positions, await ropeFactors(model, description));
  const graph = buildShardGraph({ model: description, layers, layerPlans, outputPlan, rotary, sentinel });
  return { graph, weightFolder };
}

async function ropeFactors(model: GgufFile, description: ModelDescription): Promise<Float32Array | undefined> {
  if (!description.ropeFactors) return undefined;
  return unpackFloats(model.header.tensors.get(ROPE_FACTORS)!.type, await model.readTensor(ROPE_FACTORS));
}
