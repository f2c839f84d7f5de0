import { Tensor } from '../onnxruntime';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { OUTPUT } from '../compiler/graph-names';
import { openGraphSession } from './graph-session';

const KV_HEADS = 4;
const HEAD_SIZE = 64;
const POSITIONS = 8192;
/** Tokens before the one that the check adds. */
const PAST = 10;
const KV_SIZE = KV_HEADS * HEAD_SIZE;

/** The best of so many: other work on the machine must not look like a copy. */
const RUNS = 8;
/** A run in place takes some 0.03 ms however large the cache; copying these two caches takes several. */
const MOST_MS = 0.5;

/**
 * Proves on one attention node that this build of onnxruntime-node writes the KV cache in place: the new token's key
 * and value lie behind the old ones, the rest is untouched, and nothing is copied.
 * @returns what is wrong, undefined if all is well
 */
export async function inPlaceKvFailure(open = openGraphSession): Promise<string | undefined> {
  try {
    const session = await open(attentionGraph(), {});
    try {
      const caches = { key: new Cache(0), value: new Cache(1) };
      const inputs = {
        qkv: new Tensor('float32', QKV, [1, 1, QKV.length]),
        past_key: caches.key.tensor,
        past_value: caches.value.tensor,
        last_positions: new Tensor('int32', Int32Array.of(PAST), [1]),
        longest: new Tensor('int32', Int32Array.of(PAST + 1), [1]),
      };
      const attention = new Tensor('float32', new Float32Array(KV_SIZE), [1, 1, KV_SIZE]);
      const outputs = { attention, present_key: caches.key.tensor, present_value: caches.value.tensor };
      let bestMs = Infinity;
      for (let run = 0; run < RUNS; run++) {
        const started = performance.now();
        await session.run(inputs, outputs);
        bestMs = Math.min(bestMs, performance.now() - started);
      }
      if (attention.data.every((value) => value === 0)) return 'the attention was not written';
      if (!caches.key.hasNewToken(1) || !caches.value.hasNewToken(2))
        return 'the cache was not written as it should be';
      if (bestMs > MOST_MS) return `a run takes ${bestMs.toFixed(1)} ms, as if the cache were copied`;
      return undefined;
    } finally {
      await session.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Query, key and value of the new token. */
const QKV = Float32Array.from({ length: 3 * KV_SIZE }, (_, i) => i + 1);

class Cache {
  readonly tensor: Tensor;
  private readonly values = new Float32Array(KV_HEADS * POSITIONS * HEAD_SIZE);
  private readonly before: Float32Array;

  constructor(offset: number) {
    for (let i = 0; i < this.values.length; i++) this.values[i] = (i + offset) % 251;
    this.before = this.values.slice();
    this.tensor = new Tensor('float32', this.values, [1, KV_HEADS, POSITIONS, HEAD_SIZE]);
  }

  /** @param part of QKV: 1 for the key, 2 for the value */
  hasNewToken(part: number): boolean {
    const expected = this.before.slice();
    for (let head = 0; head < KV_HEADS; head++) {
      const from = part * KV_SIZE + head * HEAD_SIZE;
      expected.set(QKV.subarray(from, from + HEAD_SIZE), (head * POSITIONS + PAST) * HEAD_SIZE);
    }
    return Buffer.from(expected.buffer).equals(Buffer.from(this.values.buffer));
  }
}

function attentionGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const cache = ['B', KV_HEADS, 'positions', HEAD_SIZE];
  graph.emptySequenceOutput(OUTPUT.sentinel);
  graph.input('qkv', OnnxType.FLOAT, ['B', 'S', QKV.length]);
  graph.input('past_key', OnnxType.FLOAT, cache);
  graph.input('past_value', OnnxType.FLOAT, cache);
  graph.input('last_positions', OnnxType.INT32, ['B']);
  graph.input('longest', OnnxType.INT32, [1]);
  graph.node('GroupQueryAttention', {
    domain: 'com.microsoft',
    inputs: ['qkv', '', '', 'past_key', 'past_value', 'last_positions', 'longest'],
    outputs: ['attention', 'present_key', 'present_value'],
    ints: { num_heads: KV_HEADS, kv_num_heads: KV_HEADS },
  });
  graph.output('attention', OnnxType.FLOAT, ['B', 'S', KV_SIZE]);
  graph.output('present_key', OnnxType.FLOAT, cache);
  graph.output('present_value', OnnxType.FLOAT, cache);
  return graph.encode('self_check');
}
