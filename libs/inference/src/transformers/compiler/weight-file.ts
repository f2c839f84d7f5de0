import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GgufFile } from '@pangalactic/models';
import { type Linear, quantsName, scalesName, type WeightPlan } from './weight-plan';
import { packQ4, packQ8, unpackFloats, unpermuteRotaryRows } from './weight-packing';

export interface PackingOptions {
  readonly headSize: number;
  /** Gives up between two tensors, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a plan's packed weights unless the folder holds them already. Written beside and renamed, so that several
 * processes may share a cache and a crash leaves no half file.
 */
export async function ensureWeightFile(
  model: GgufFile,
  plan: WeightPlan,
  folder: string,
  options: PackingOptions,
): Promise<void> {
  const path = join(folder, plan.file);
  if (await hasSize(path, plan.bytes)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx');
    try {
      await writePlan(model, plan, handle, options);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writePlan(
  model: GgufFile,
  plan: WeightPlan,
  handle: FileHandle,
  { headSize, signal }: PackingOptions,
): Promise<void> {
  const read = (name: string): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    return model.readTensor(name);
  };
  const write = async (name: string, data: Uint8Array | Float32Array, skip = 0) => {
    const { offset } = plan.packed.get(name)!;
    await handle.write(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      0,
      data.byteLength,
      offset + skip,
    );
  };
  for (const { name, tensor } of plan.vectors) {
    await write(name, unpackFloats(tensor.type, await read(tensor.name)));
  }
  for (const linear of plan.linears) await writeLinear(linear, headSize, read, write);
}

async function writeLinear(
  linear: Linear,
  headSize: number,
  read: (tensor: string) => Promise<Uint8Array>,
  write: (name: string, data: Uint8Array | Float32Array, skip: number) => Promise<void>,
): Promise<void> {
  let quantBytes = 0;
  let floatBytes = 0;
  for (const { tensor, rotary } of linear.sources) {
    const stored = await read(tensor.name);
    const raw = rotary ? unpermuteRotaryRows(stored, stored.length / tensor.shape[1]!, headSize) : stored;
    if (linear.format === 'fp32') {
      const floats = unpackFloats(tensor.type, raw);
      await write(linear.name, floats, floatBytes);
      floatBytes += floats.byteLength;
    } else {
      const { quants, scales } = linear.format === 'q4' ? packQ4(raw) : packQ8(raw);
      await write(quantsName(linear), quants, quantBytes);
      await write(scalesName(linear), scales, floatBytes);
      quantBytes += quants.byteLength;
      floatBytes += scales.byteLength;
    }
  }
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  try {
    return (await stat(path)).size === bytes;
  } catch {
    return false;
  }
}
