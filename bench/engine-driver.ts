import type { Shard } from '@pangalactic/inference';
import { PREFILL_CHUNK_TOKENS } from '@pangalactic/scheduler';

const SAMPLING = { temperature: 0, topP: 1 };

/** The sequences of one measurement, driven through the port as a node's head drives them, without gRPC. */
export class EngineDriver {
  private generation = 0;
  private lengths: number[] = [];

  constructor(
    private readonly shard: Shard,
    private readonly vocabularySize: number,
  ) {}

  /** Fills one slot per stream with a prompt of so many tokens. What the slots held before is forgotten. */
  async prefill(streams: number, tokens: number): Promise<void> {
    this.lengths.forEach((_, slot) => this.shard.apply({ kind: 'release', slot, generation: this.generation }));
    this.lengths = Array.from({ length: streams }, () => 0);
    this.generation += 1;
    for (let slot = 0; slot < streams; slot += 1) {
      const promptIds = Array.from({ length: tokens }, (_, index) => this.tokenId(slot, index));
      this.shard.apply({
        kind: 'start',
        slot,
        generation: this.generation,
        sampling: SAMPLING,
        seed: 0,
        choiceIndex: 0,
        promptIds,
        emittedIds: [],
      });
      for (let start = 0; start < tokens; start += PREFILL_CHUNK_TOKENS) {
        const chunk = promptIds.slice(start, start + PREFILL_CHUNK_TOKENS);
        const row = {
          slot,
          generation: this.generation,
          start,
          count: chunk.length,
          sample: start + chunk.length === tokens,
        };
        await this.shard.run({ rows: [row], tokenIds: Uint32Array.from(chunk) });
      }
      this.lengths[slot] = tokens;
    }
  }

  /** One token for each stream, all in one step. */
  async decodeStep(): Promise<void> {
    const rows = this.lengths.map((start, slot) => ({
      slot,
      generation: this.generation,
      start,
      count: 1,
      sample: true,
    }));
    await this.shard.run({ rows, tokenIds: Uint32Array.from(rows, ({ slot, start }) => this.tokenId(slot, start)) });
    this.lengths = this.lengths.map((length) => length + 1);
  }

  /** Which tokens are fed does not matter for speed, as long as they are not all the same. */
  private tokenId(slot: number, index: number): number {
    return (slot * 7919 + index * 104_729) % this.vocabularySize;
  }
}
