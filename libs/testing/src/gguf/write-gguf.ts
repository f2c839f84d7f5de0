import { type FileHandle, open } from 'node:fs/promises';
import { ggmlBytes, type GgmlType } from '@pangalactic/models';
import { encodeMetadata, encodeNumber, encodeString, type GgufMetadata } from './metadata';

const ALIGNMENT = 32;

export interface TensorSource {
  readonly name: string;
  readonly type: GgmlType;
  /** Fastest dimension first. */
  readonly shape: readonly number[];
  /** The tensor's bytes, in pieces of any size. A piece is written before the next is asked for, so its memory may be reused. */
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** The metadata section of another file, byte for byte. */
export interface EncodedMetadata {
  readonly entries: number;
  readonly bytes: Uint8Array;
}

/** Writes a GGUF version 3 file, tensor by tensor: memory does not grow with the file. */
export async function writeGguf(
  path: string,
  metadata: GgufMetadata | EncodedMetadata,
  tensors: readonly TensorSource[],
): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await writeAll(handle, encodeGgufHeader(metadata, tensors));
    for (const tensor of tensors) await writeTensor(handle, tensor);
  } finally {
    await handle.close();
  }
}

/** Everything before the tensor data. */
export function encodeGgufHeader(
  metadata: GgufMetadata | EncodedMetadata,
  tensors: readonly Omit<TensorSource, 'chunks'>[],
): Buffer {
  const { entries, bytes } = isEncoded(metadata)
    ? metadata
    : { entries: Object.keys(metadata).length, bytes: encodeMetadata(metadata) };
  const table: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    table.push(encodeString(tensor.name), encodeNumber('uint32', tensor.shape.length));
    for (const size of tensor.shape) table.push(encodeNumber('uint64', size));
    table.push(encodeNumber('uint32', tensor.type), encodeNumber('uint64', offset));
    offset += padded(tensorBytes(tensor));
  }
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    encodeNumber('uint32', 3),
    encodeNumber('uint64', tensors.length),
    encodeNumber('uint64', entries),
    bytes,
    ...table,
  ]);
  return Buffer.concat([header, padding(header.length)]);
}

async function writeTensor(handle: FileHandle, tensor: TensorSource): Promise<void> {
  let written = 0;
  for await (const chunk of tensor.chunks()) {
    await writeAll(handle, chunk);
    written += chunk.byteLength;
  }
  const expected = tensorBytes(tensor);
  if (written !== expected) throw new RangeError(`tensor ${tensor.name} has ${written} bytes, expected ${expected}`);
  await writeAll(handle, padding(written));
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    done += (await handle.write(bytes, done, bytes.byteLength - done)).bytesWritten;
  }
}

function isEncoded(metadata: GgufMetadata | EncodedMetadata): metadata is EncodedMetadata {
  return metadata.bytes instanceof Uint8Array;
}

function tensorBytes(tensor: Omit<TensorSource, 'chunks'>): number {
  return ggmlBytes(
    tensor.type,
    tensor.shape.reduce((product, size) => product * size, 1),
  );
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function padding(bytes: number): Buffer {
  return Buffer.alloc(padded(bytes) - bytes);
}
