import type { FileHandle } from 'node:fs/promises';
import type { GgufFile } from '@pangalactic/models';
import { packQuants, unpackFloats, unpermuteRotaryRows } from './weight-packing';
import { type Linear, offsetsName, quantsName, scalesName, type WeightPlan } from './weight-plan';

/** One call of the operating system writes at most 2 GiB, and Node refuses more. */
const WRITE_BYTES = 2 ** 30;

export interface PackingOptions {
  readonly headSize: number;
  /** Gives up between two tensors, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Packs a plan's weights into a new file. */
export async function writeWeights(
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
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    await writeAt(handle, bytes, plan.packed.get(name)!.offset + skip);
  };
  for (const { name, tensors } of plan.vectors) {
    let written = 0;
    for (const tensor of tensors) {
      const floats = unpackFloats(tensor.type, await read(tensor.name));
      await write(name, floats, written);
      written += floats.byteLength;
    }
  }
  for (const linear of plan.linears) await writeLinear(linear, headSize, read, write);
}

/** All of the bytes: a full disk, for one, may take a part before it fails. */
export async function writeAt(handle: Pick<FileHandle, 'write'>, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const length = Math.min(bytes.length - done, WRITE_BYTES);
    const { bytesWritten } = await handle.write(bytes, done, length, position + done);
    if (bytesWritten === 0) throw new Error(`the file takes no more bytes at ${position + done}`);
    done += bytesWritten;
  }
}

async function writeLinear(
  linear: Linear,
  headSize: number,
  read: (tensor: string) => Promise<Uint8Array>,
  write: (name: string, data: Uint8Array | Float32Array, skip: number) => Promise<void>,
): Promise<void> {
  let quantBytes = 0;
  let floatBytes = 0;
  for (const { tensor, permuted } of linear.sources) {
    const stored = await read(tensor.name);
    const raw = permuted ? unpermuteRotaryRows(stored, stored.length / tensor.shape[1]!, headSize) : stored;
    if (linear.format.bits === 32) {
      const floats = unpackFloats(tensor.type, raw);
      await write(linear.name, floats, floatBytes);
      floatBytes += floats.byteLength;
    } else {
      const { quants, scales, offsets } = packQuants(tensor.type, raw);
      await write(quantsName(linear), quants, quantBytes);
      await write(scalesName(linear), scales, floatBytes);
      if (offsets) await write(offsetsName(linear), offsets, floatBytes);
      quantBytes += quants.byteLength;
      floatBytes += scales.byteLength;
    }
  }
}
