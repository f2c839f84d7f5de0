/**
 * Tokens per prefill step. The engine is at full speed from 64 on; larger chunks make running streams wait longer and
 * attention scratch grow.
 */
export const PREFILL_CHUNK_TOKENS = 128;

/**
 * Sizes of the steps that feed `tokens` tokens. No step has one token unless there is only one: attention over a single
 * new token rounds differently from attention over a chunk, and a prompt's KV must not depend on how it was split.
 */
export function promptChunks(tokens: number): number[] {
  const chunks = Array.from({ length: Math.floor(tokens / PREFILL_CHUNK_TOKENS) }, () => PREFILL_CHUNK_TOKENS);
  const remainder = tokens % PREFILL_CHUNK_TOKENS;
  if (remainder === 1 && chunks.length > 0) {
    chunks[chunks.length - 1] = PREFILL_CHUNK_TOKENS - 1;
    chunks.push(2);
  } else if (remainder > 0) {
    chunks.push(remainder);
  }
  return chunks;
}
