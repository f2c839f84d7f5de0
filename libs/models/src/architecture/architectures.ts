/** What tells an architecture from the others: all of them are a llama with a few changes. */
export interface Architecture {
  /**
   * Which elements of a head are rotated together in the file's order of query and key rows: each with its neighbour, or
   * element i with i + headSize / 2.
   */
  readonly rotaryPairs: 'neighbours' | 'halves';
  /** Query, key and value projections add a bias. */
  readonly queryKeyValueBias: boolean;
  /** Each head of queries and keys goes through a norm of its own before it is rotated. */
  readonly queryKeyNorm: boolean;
  /** The file may divide the rotary frequencies by factors of a tensor, as Llama 3.1 does. */
  readonly ropeFactors: boolean;
}

export type ArchitectureName = 'llama' | 'qwen2' | 'qwen3';

/** By `general.architecture`. Mistral's files call themselves llama. */
export const ARCHITECTURES: Readonly<Record<ArchitectureName, Architecture>> = {
  llama: { rotaryPairs: 'neighbours', queryKeyValueBias: false, queryKeyNorm: false, ropeFactors: true },
  qwen2: { rotaryPairs: 'halves', queryKeyValueBias: true, queryKeyNorm: false, ropeFactors: false },
  qwen3: { rotaryPairs: 'halves', queryKeyValueBias: false, queryKeyNorm: true, ropeFactors: false },
};

export function isArchitecture(name: string): name is ArchitectureName {
  return Object.hasOwn(ARCHITECTURES, name);
}
