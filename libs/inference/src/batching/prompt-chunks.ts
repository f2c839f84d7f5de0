import { PREFILL_CHUNK_TOKENS } from '@pangalactic/scheduler';

/**
 * Size of the next step when `tokens` tokens are to be fed. It never leaves one token over: attention over a single new
 * token rounds differently from attention over a chunk, and a prompt's KV must not depend on how it was split.
 */
export function chunkSize(tokens: number, largest: number): number {
  if (tokens <= largest) return tokens;
  return tokens === largest + 1 ? largest - 1 : largest;
}

/** While others decode: they wait for each chunk, in a pipeline for one in each stage. */
const CHUNK_BESIDE_DECODE_TOKENS = 48;

/** Tokens per prefill step. Large chunks save a little per step, but whoever decodes meanwhile waits for them. */
export function largestChunk(besideDecode: boolean): number {
  return besideDecode ? CHUNK_BESIDE_DECODE_TOKENS : PREFILL_CHUNK_TOKENS;
}
