import { PREFILL_CHUNK_TOKENS } from '@pangalactic/scheduler';

/**
 * Size of the next step when `tokens` tokens are to be fed. It never leaves one token over: attention over a single new
 * token rounds differently from attention over a chunk, and a prompt's KV must not depend on how it was split.
 */
export function chunkSize(tokens: number, largest: number): number {
  if (tokens <= largest) return tokens;
  return tokens === largest + 1 ? largest - 1 : largest;
}

/**
 * Tokens per prefill step. Large chunks save a little per step, but whoever decodes meanwhile waits for them: behind one in
 * a single stage, behind one in each stage of a pipeline.
 */
export function largestChunk(stages: number, besideDecode: boolean): number {
  if (!besideDecode) return PREFILL_CHUNK_TOKENS;
  return stages === 1 ? 64 : 48;
}
