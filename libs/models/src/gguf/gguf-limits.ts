/**
 * What a header may claim. Without limits a file of a hundred bytes could demand terabytes (CWE-789), spin for hours
 * (CWE-834) or exhaust the stack (CWE-674). All are far above real files, of which the largest are named here.
 */
export const GGUF_LIMITS = {
  /** Bytes up to the tensor data. Vocabularies fill it: 262,144 tokens with scores take 8 MiB. */
  headerBytes: 64 * 2 ** 20,
  /** Real files have 20 to 60. */
  metadataEntries: 65_536,
  /** Llama 3.1 405B has 1,138; models with experts stored one by one have some thousands. */
  tensors: 65_536,
  /** Metadata keys and tensor names; the format's own limit for keys. */
  nameBytes: 65_535,
  /** Chat templates are the longest, some 100 KiB. A wrong length is noticed at once, not after reading on for its end. */
  stringBytes: 2 ** 20,
  /** Of all arrays together, as each element costs 8 bytes of heap or more even if it is one byte in the file. The
   * largest vocabularies have 262,144 tokens, scores and types each, and 515,000 merges. */
  arrayElements: 2 ** 22,
  /** The parser calls itself for each level. No known key nests arrays at all. */
  arrayDepth: 4,
  /** GGML_MAX_DIMS. */
  tensorDimensions: 4,
  /** Real files use 32; larger than a huge page serves nobody. */
  alignment: 2 * 2 ** 20,
} as const;
