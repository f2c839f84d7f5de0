import type { ReadModelHeaderResponse } from '@pangalactic/contracts';

const CHUNK_BYTES = 256 * 1024;

/** A header of several MiB in messages of a size that any limit lets through. */
export function* headerChunks(bytes: Buffer): Generator<ReadModelHeaderResponse> {
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
    yield { data: bytes.subarray(offset, offset + CHUNK_BYTES) };
  }
}
