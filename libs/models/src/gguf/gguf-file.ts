import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { corrupt, namingFile } from './errors';
import { type GgufHeader, type GgufTensor, parsePartialGgufHeader } from './gguf-header';
import { GGUF_LIMITS } from './gguf-limits';

/** Most headers of models with small vocabularies fit into the first read. */
const FIRST_READ_BYTES = 256 * 1024;
/** One read call of the operating system moves at most 2 GiB. */
const READ_BYTES = 2 ** 30;
const FINGERPRINT_SAMPLE_BYTES = 4096;

/** A GGUF file that is open for reading single tensors. */
export class GgufFile {
  private constructor(
    readonly path: string,
    readonly size: number,
    readonly header: GgufHeader,
    /** Everything before the tensor data. */
    readonly headerBytes: Buffer,
    private readonly handle: FileHandle,
  ) {}

  /** @throws PangalacticError `corrupt_model_file` also if any tensor lies beyond the end of the file. */
  static async open(path: string): Promise<GgufFile> {
    return namingFile(path, async () => {
      const { handle, size } = await openFile(path);
      try {
        const { header, bytes } = await readHeader(handle, size);
        for (const tensor of header.tensors.values()) demandInside(tensor, size);
        return new GgufFile(path, size, header, bytes, handle);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  /** The raw bytes of a tensor, in a buffer of its own. */
  async readTensor(name: string): Promise<Buffer> {
    return namingFile(this.path, async () => {
      const tensor = this.header.tensors.get(name);
      if (!tensor) throw corrupt(`tensor "${name}" is missing`);
      return this.readPart(tensor, 0, tensor.bytes);
    });
  }

  /**
   * sha256 over the header, the file's size (8 bytes, little endian) and, tensor by tensor in file order, the first and
   * the last 4 KiB: quick on a file of any size, and equal files give equal fingerprints on all machines.
   */
  async fingerprint(): Promise<string> {
    return namingFile(this.path, async () => {
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(this.size));
      const hash = createHash('sha256').update(this.headerBytes).update(size);
      for (const tensor of this.header.tensors.values()) {
        const sample = Math.min(FINGERPRINT_SAMPLE_BYTES, tensor.bytes);
        hash.update(await this.readPart(tensor, 0, sample));
        hash.update(await this.readPart(tensor, tensor.bytes - sample, sample));
      }
      return hash.digest('hex');
    });
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private async readPart(tensor: GgufTensor, start: number, length: number): Promise<Buffer> {
    const bytes = await readAt(this.handle, tensor.offset + start, length);
    // The size was checked when the file was opened: it has shrunk since.
    if (bytes.length < length) throw corrupt(`the file ends inside tensor "${tensor.name}"`);
    return bytes;
  }
}

/** Reads only as much of the file as its header takes. `bytes` is everything before the tensor data. */
export async function readGgufHeader(path: string): Promise<{ header: GgufHeader; bytes: Buffer }> {
  return namingFile(path, async () => {
    const { handle, size } = await openFile(path);
    try {
      return await readHeader(handle, size);
    } finally {
      await handle.close();
    }
  });
}

async function openFile(path: string): Promise<{ handle: FileHandle; size: number }> {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await handle.stat();
  if (stats.isFile()) return { handle, size: stats.size };
  await handle.close();
  throw corrupt('not a regular file');
}

async function readHeader(handle: FileHandle, size: number): Promise<{ header: GgufHeader; bytes: Buffer }> {
  const most = Math.min(size, GGUF_LIMITS.headerBytes);
  for (let length = Math.min(FIRST_READ_BYTES, most); ; length = Math.min(4 * length, most)) {
    let bytes = await readAt(handle, 0, length);
    const header = parsePartialGgufHeader(bytes);
    if (header) {
      // The padding in front of the data may lie behind what was read; a file without tensors need not have it.
      if (header.dataOffset > bytes.length) bytes = await readAt(handle, 0, Math.min(header.dataOffset, size));
      return { header, bytes: bytes.subarray(0, header.dataOffset) };
    }
    if (bytes.length < length || length === size) throw corrupt(`the file ends inside its header (${size} bytes)`);
    if (length === most) throw corrupt(`the header is longer than ${most} bytes`);
  }
}

/** @returns fewer bytes than asked for if the file ends before. */
async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  // Not from the shared pool: callers keep or transfer the memory.
  const bytes = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, Math.min(length - filled, READ_BYTES), position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function demandInside(tensor: GgufTensor, fileSize: number): void {
  const end = tensor.offset + tensor.bytes;
  if (end > fileSize) {
    throw corrupt(`the file is cut off: tensor "${tensor.name}" ends at byte ${end}, the file at byte ${fileSize}`);
  }
}
