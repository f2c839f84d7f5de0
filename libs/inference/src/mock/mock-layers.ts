import type { LayerRange, Row } from '@pangalactic/contracts';
import { mix } from './mix';

const HALF = 0x1_0000;

/**
 * A layer range without weights. As in a transformer each layer keeps a state per position of each slot, made from the
 * position before and from the layer below: whatever loses, doubles or reorders a token anywhere changes every token
 * after it, and any split of the layers over stages computes the same.
 */
export class MockLayers {
  /** [layer][slot * contextLength + position] */
  private readonly states: Uint32Array[];

  constructor(
    private readonly layers: LayerRange,
    slots: number,
    private readonly contextLength: number,
  ) {
    this.states = Array.from({ length: layers.to - layers.from }, () => new Uint32Array(slots * contextLength));
  }

  get bytes(): number {
    return this.states.reduce((sum, state) => sum + state.byteLength, 0);
  }

  /** Values entering the range, one per token of the row, become values leaving it. */
  forward(row: Row, values: Uint32Array): Uint32Array {
    const first = row.slot * this.contextLength;
    return this.states.reduce((inputs, state, index) => {
      const layer = this.layers.from + index;
      return inputs.map((input, offset) => {
        const position = row.start + offset;
        const previous = position > 0 ? (state[first + position - 1] ?? 0) : layer;
        const value = mix(previous, input);
        state[first + position] = value;
        return value;
      });
    }, values);
  }

  copy(fromSlot: number, toSlot: number, count: number): void {
    const from = fromSlot * this.contextLength;
    for (const state of this.states) state.copyWithin(toSlot * this.contextLength, from, from + count);
  }
}

/** Two halves in the first two values of each row, where a float32 holds them exactly. */
export function toHidden(values: Uint32Array, hiddenSize: number): Float32Array {
  const hidden = new Float32Array(values.length * hiddenSize);
  values.forEach((value, token) => {
    hidden[token * hiddenSize] = Math.floor(value / HALF);
    hidden[token * hiddenSize + 1] = value % HALF;
  });
  return hidden;
}

export function fromHidden(hidden: Float32Array, hiddenSize: number): Uint32Array {
  return Uint32Array.from({ length: hidden.length / hiddenSize }, (_, token) => {
    const row = token * hiddenSize;
    return (hidden[row] ?? 0) * HALF + (hidden[row + 1] ?? 0);
  });
}
