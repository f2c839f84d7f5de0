import type { Row } from '@pangalactic/contracts';
import { addAttention, addAttentionConstants } from '../compiler/attention-nodes';
import { INPUT, kvNames } from '../compiler/graph-names';
import { LinearNodes } from '../compiler/linear-nodes';
import type { LayerModel } from '../compiler/nodes';
import { rotaryTables } from '../compiler/rotary-tables';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { Tensor } from '../onnxruntime';
import { GpuKvCache } from './gpu-kv-cache';
import { type Device, openGraphSession } from './graph-session';
import { KvArena } from './kv-arena';
import type { KvCache } from './kv-cache';
import { laneTensors } from './lanes';

const MODEL: LayerModel = { architecture: 'llama', heads: 4, kvHeads: 2, headSize: 64, rmsEpsilon: 1e-5 };
const SHAPE = { slots: 4, positions: 33, kvHeads: MODEL.kvHeads, headSize: MODEL.headSize };
/** Query, key and value of a token. */
const TOKEN_SIZE = (MODEL.heads + 2 * MODEL.kvHeads) * MODEL.headSize;

/** Prompts in chunks, steps of several sequences with a slot of a third between them, a sequence that moves, a rewind. */
const STEPS: readonly (readonly Pick<Row, 'slot' | 'start' | 'count'>[])[] = [
  [{ slot: 0, start: 0, count: 5 }],
  [{ slot: 2, start: 0, count: 9 }],
  [{ slot: 1, start: 0, count: 3 }],
  [{ slot: 2, start: 9, count: 7 }],
  [
    { slot: 0, start: 5, count: 1 },
    { slot: 2, start: 16, count: 1 },
  ],
  [{ slot: 1, start: 3, count: 1 }],
  [
    { slot: 0, start: 6, count: 1 },
    { slot: 1, start: 4, count: 1 },
    { slot: 2, start: 4, count: 1 },
  ],
];

/** Largest difference between two devices that round differently; a wrong position or slot is far beyond it. */
const TOLERANCE = 1e-3;

/**
 * Proves that a GPU can be used: a session opens, the KV cache is written in place there, and attention over it is what
 * the CPU computes.
 * @returns what is wrong, undefined if all is well
 */
export async function gpuFailure(): Promise<string | undefined> {
  try {
    const [expected, computed] = [await attend('cpu'), await attend('gpu')];
    const difference = Math.max(...expected.map((value, i) => Math.abs(value - computed[i]!)));
    return difference <= TOLERANCE ? undefined : `its attention differs from the CPU's by ${difference}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The attention of all steps. */
async function attend(device: Device): Promise<number[]> {
  const session = await openGraphSession(attentionGraph(), { device });
  const layers = { from: 0, to: 1 };
  const cache: KvCache = device === 'gpu' ? await GpuKvCache.open(layers, SHAPE) : new KvArena(layers, SHAPE);
  const lengths = Array.from({ length: SHAPE.slots }, () => 0);
  const attended: number[] = [];
  for (const step of STEPS) {
    const rows = step.map((row) => ({ ...row, generation: 1, sample: false }));
    for (const { slot, start, count } of rows) lengths[slot] = start + count;
    const tokens = rows.reduce((sum, { count }) => sum + count, 0);
    const values = Float32Array.from({ length: tokens * TOKEN_SIZE }, (_, i) => Math.sin(1 + i + attended.length));
    const outputs = await cache.step(
      rows,
      (slot) => lengths[slot]!,
      (lanes, kv) => {
        const hidden = new Tensor('float32', values, [tokens, TOKEN_SIZE]);
        const output = new Tensor('float32', new Float32Array(tokens * OUTPUT_SIZE), [tokens, OUTPUT_SIZE]);
        const inputs = { ...kv.past, [INPUT.hidden]: hidden, ...laneTensors(lanes, tokens) };
        return session.run(inputs, { ...kv.present, attended: output });
      },
    );
    attended.push(...(outputs['attended']!.data as Float32Array));
  }
  await session.close();
  await cache.close();
  return attended;
}

const OUTPUT_SIZE = MODEL.heads * MODEL.headSize;

function attentionGraph(): Uint8Array {
  const graph = new GraphBuilder();
  graph.input(INPUT.hidden, OnnxType.FLOAT, ['T', TOKEN_SIZE]);
  graph.input(INPUT.laneTokens, OnnxType.INT64, ['B', 'S']);
  graph.input(INPUT.tokenLanes, OnnxType.INT64, ['T']);
  graph.input(INPUT.lastPositions, OnnxType.INT32, ['B']);
  graph.input(INPUT.longest, OnnxType.INT32, [1]);
  const { headSize } = MODEL;
  addAttentionConstants(
    graph,
    MODEL,
    rotaryTables({ headSize, ropeTheta: 10_000, ropeScaling: { factor: 1 } }, SHAPE.positions),
  );
  const attended = addAttention({ graph, linears: new LinearNodes(graph), model: MODEL }, 0, INPUT.hidden);
  graph.node('Identity', { inputs: [attended], outputs: ['attended'] });
  graph.output('attended', OnnxType.FLOAT, ['T', OUTPUT_SIZE]);
  const { presentKey, presentValue } = kvNames(0);
  for (const name of [presentKey, presentValue]) {
    graph.output(name, OnnxType.FLOAT, ['B', MODEL.kvHeads, 'present', headSize]);
  }
  return graph.encode('gpu_check');
}
