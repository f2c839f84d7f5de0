import { Tensor } from '../onnxruntime';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { OUTPUT } from '../compiler/shard-graph';
import { InPlaceSession } from './in-place-session';

const HEAD_SIZE = 16;
const POSITIONS = 64;
const PAST = 10;

/**
 * Proves on one attention node that this build of onnxruntime-node writes the KV cache in place: the new token's key
 * lies behind the old ones, the rest is untouched, and the sentinel stops the copy of the outputs.
 */
export async function inPlaceKvWorks(): Promise<boolean> {
  const session = await InPlaceSession.open(attentionGraph(), { threads: 1, weightFolder: '.' });
  try {
    const shape = [1, 1, POSITIONS, HEAD_SIZE];
    const key = Float32Array.from({ length: POSITIONS * HEAD_SIZE }, (_, i) => Math.sin(i));
    const before = key.slice();
    const keyTensor = new Tensor('float32', key, shape);
    const valueTensor = new Tensor('float32', key.slice(), shape);
    const qkv = Float32Array.from({ length: 3 * HEAD_SIZE }, (_, i) => i + 1);
    const attention = new Tensor('float32', new Float32Array(HEAD_SIZE), [1, 1, HEAD_SIZE]);
    await session.run(
      {
        qkv: new Tensor('float32', qkv, [1, 1, 3 * HEAD_SIZE]),
        past_key: keyTensor,
        past_value: valueTensor,
        last_positions: new Tensor('int32', Int32Array.of(PAST), [1]),
        longest: new Tensor('int32', Int32Array.of(PAST + 1), [1]),
      },
      { attention, present_key: keyTensor, present_value: valueTensor },
    );
    const expected = before.slice();
    expected.set(qkv.subarray(HEAD_SIZE, 2 * HEAD_SIZE), PAST * HEAD_SIZE);
    return expected.every((value, i) => key[i] === value) && attention.data.some((value) => value !== 0);
  } catch {
    return false;
  } finally {
    await session.close();
  }
}

function attentionGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const cache = ['B', 1, 'positions', HEAD_SIZE];
  graph.emptySequenceOutput(OUTPUT.sentinel);
  graph.input('qkv', OnnxType.FLOAT, ['B', 'S', 3 * HEAD_SIZE]);
  graph.input('past_key', OnnxType.FLOAT, cache);
  graph.input('past_value', OnnxType.FLOAT, cache);
  graph.input('last_positions', OnnxType.INT32, ['B']);
  graph.input('longest', OnnxType.INT32, [1]);
  graph.node('GroupQueryAttention', {
    domain: 'com.microsoft',
    inputs: ['qkv', '', '', 'past_key', 'past_value', 'last_positions', 'longest'],
    outputs: ['attention', 'present_key', 'present_value'],
    ints: { num_heads: 1, kv_num_heads: 1 },
  });
  graph.output('attention', OnnxType.FLOAT, ['B', 'S', HEAD_SIZE]);
  graph.output('present_key', OnnxType.FLOAT, cache);
  graph.output('present_value', OnnxType.FLOAT, cache);
  return graph.encode('self_check');
}
