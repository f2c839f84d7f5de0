/** A sequence that takes one token per step. */
export interface Decoding {
  readonly slot: number;
  /** Its last token has come, so that the next one can be computed. */
  readonly isReadyToDecode: boolean;
  /** Orders the turns: whoever waits longest goes first. */
  readonly readySince: number;
}

/**
 * Cuts the sequences that decode into one group per micro-batch. Each is a contiguous range of slots, which is what
 * attention runs over, and none is larger than another by more than one. Groups exist only from one decision to the next:
 * as sequences come and go the cuts move, and nobody's KV has to.
 *
 * @param sequences in order of their slots
 */
export function decodeGroups<T>(sequences: readonly T[], microBatches: number): T[][] {
  const count = Math.min(microBatches, sequences.length);
  const cut = (group: number) => Math.floor((group * sequences.length) / count);
  return Array.from({ length: count }, (_, group) => sequences.slice(cut(group), cut(group + 1)));
}

/** The group that waits longest of those whose sequences are all ready: a step of half a group costs nearly as much. */
export function nextDecodeGroup<T extends Decoding>(decoding: readonly T[], microBatches: number): T[] | undefined {
  const bySlot = [...decoding].sort((a, b) => a.slot - b.slot);
  const ready = decodeGroups(bySlot, microBatches).filter((group) => group.every((one) => one.isReadyToDecode));
  const since = (group: readonly T[]) => Math.min(...group.map(({ readySince }) => readySince));
  return ready.sort((a, b) => since(a) - since(b))[0];
}
