import type { Row } from '@pangalactic/contracts';
import { addAttention, addAttentionConstants, addKvOutputs, addLaneInputs } from '../compiler/attention-nodes';
import { INPUT } from '../compiler/graph-names';
import { LinearNodes } from '../compiler/linear-nodes';
import type { LayerModel } from '../compiler/nodes';
import { rotaryTables } from '../compiler/rotary-tables';
import { type Linear, quantsName, scalesName } from '../compiler/weight-plan';
import { GraphBuilder } from '../onnx/graph-builder';
import { OnnxType } from '../onnx/onnx-schema';
import { Tensor } from '../onnxruntime';
import { GpuKvCache } from './gpu-kv-cache';
import { type Device, openGraphSession } from './graph-session';
import { KvArena } from './kv-arena';
import { laneTensors } from './lanes';

const MODEL: LayerModel = { architecture: 'llama', heads: 4, kvHeads: 2, headSize: 64, rmsEpsilon: 1e-5 };
const LAYERS = { from: 0, to: 1 };
/** Query, key and value of a token. */
const TOKEN_SIZE = (MODEL.heads + 2 * MODEL.kvHeads) * MODEL.headSize;
const ATTENDED_SIZE = MODEL.heads * MODEL.headSize;
const ATTENDED = 'attended';

type CheckedRow = Pick<Row, 'slot' | 'start' | 'count'>;

/** Chunks in several slots, steps of several sequences with idle lanes between, sequences that move, rewinds. */
const steps = (chunk: number): readonly (readonly CheckedRow[])[] => [
  [{ slot: 0, start: 0, count: 5 }],
  [{ slot: 2, start: 0, count: chunk }],
  [{ slot: 1, start: 0, count: 3 }],
  [{ slot: 2, start: chunk, count: Math.ceil(chunk / 2) }],
  [
    { slot: 0, start: 5, count: 1 },
    { slot: 2, start: chunk + 7, count: 1 },
  ],
  [{ slot: 1, start: 3, count: 1 }],
  [{ slot: 1, start: 4, count: 1 }],
  [
    { slot: 0, start: 6, count: 1 },
    { slot: 1, start: 5, count: 1 },
    { slot: 2, start: 4, count: 1 },
  ],
];

/** The attention of all steps on a device, with chunks of up to so many tokens. */
export async function attend(device: Device, chunk: number): Promise<number[]> {
  const shape = { slots: 4, positions: 2 * chunk, kvHeads: MODEL.kvHeads, headSize: MODEL.headSize };
  const session = await openGraphSession(attentionGraph(shape.positions), { device });
  const cache = device === 'gpu' ? await GpuKvCache.open(LAYERS, shape) : new KvArena(LAYERS, shape);
  const lengths = Array.from({ length: shape.slots }, () => 0);
  const attended: number[] = [];
  for (const step of steps(chunk)) {
    const rows = step.map((row) => ({ ...row, generation: 1, sample: false }));
    for (const { slot, start, count } of rows) lengths[slot] = start + count;
    const tokens = rows.reduce((sum, { count }) => sum + count, 0);
    const hidden = new Tensor('float32', waves(tokens * TOKEN_SIZE, attended.length), [tokens, TOKEN_SIZE]);
    const output = new Tensor('float32', new Float32Array(tokens * ATTENDED_SIZE), [tokens, ATTENDED_SIZE]);
    const outputs = await cache.step(
      rows,
      (slot) => lengths[slot]!,
      (lanes, kv) => {
        const inputs = { ...kv.past, [INPUT.hidden]: hidden, ...laneTensors(lanes, tokens) };
        return session.run(inputs, { ...kv.present, [ATTENDED]: output });
      },
    );
    for (const value of outputs[ATTENDED]!.data as Float32Array) attended.push(value);
  }
  await session.close();
  await cache.close();
  return attended;
}

function attentionGraph(positions: number): Uint8Array {
  const graph = new GraphBuilder();
  graph.input(INPUT.hidden, OnnxType.FLOAT, ['T', TOKEN_SIZE]);
  addLaneInputs(graph);
  const { headSize } = MODEL;
  const rope = { headSize, ropeTheta: 10_000, ropeScaling: { factor: 1 } };
  addAttentionConstants(graph, MODEL, rotaryTables(rope, positions));
  const attended = addAttention({ graph, linears: new LinearNodes(graph), model: MODEL }, 0, INPUT.hidden);
  graph.node('Identity', { inputs: [attended], outputs: [ATTENDED] });
  graph.output(ATTENDED, OnnxType.FLOAT, ['T', ATTENDED_SIZE]);
  addKvOutputs(graph, LAYERS, MODEL);
  return graph.encode('checked_attention');
}

const INPUTS = 256;
const OUTPUTS = 64;
const LINEARS = (
  [
    [4, 32],
    [8, 32],
    [8, 16],
  ] as const
).map(([bits, groupSize]): Linear => ({
  ...{ name: `bits${bits}_${groupSize}`, inputs: INPUTS, outputs: OUTPUTS, sources: [] },
  format: { bits, groupSize, hasOffsets: false },
}));

/** Products of packed weights with one token, with some and with a chunk. */
export async function multiply(device: Device): Promise<number[]> {
  const session = await openGraphSession(productGraph(), { device });
  const products: number[] = [];
  for (const tokens of [1, 8, 64]) {
    const inputs = { [INPUT.hidden]: new Tensor('float32', waves(tokens * INPUTS, tokens), [tokens, INPUTS]) };
    const output = () => new Tensor('float32', new Float32Array(tokens * OUTPUTS), [tokens, OUTPUTS]);
    const outputs = await session.run(inputs, Object.fromEntries(LINEARS.map(({ name }) => [name, output()])));
    for (const { name } of LINEARS) for (const value of outputs[name]!.data as Float32Array) products.push(value);
  }
  await session.close();
  return products;
}

function productGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const nodes = new LinearNodes(graph);
  graph.input(INPUT.hidden, OnnxType.FLOAT, ['T', INPUTS]);
  for (const linear of LINEARS) {
    const { bits, groupSize } = linear.format;
    const groups = INPUTS / groupSize;
    const groupBytes = (groupSize * bits) / 8;
    const quants = Uint8Array.from({ length: OUTPUTS * groups * groupBytes }, (_, i) => (i * 73 + (i >> 5) * 31) % 256);
    graph.constant(quantsName(linear), quants, [OUTPUTS, groups, groupBytes]);
    const scales = waves(OUTPUTS * groups, bits).map((value) => value / 2 ** bits);
    graph.constant(scalesName(linear), scales, [OUTPUTS * groups]);
    nodes.add(linear, INPUT.hidden, linear.name);
    graph.output(linear.name, OnnxType.FLOAT, ['T', OUTPUTS]);
  }
  return graph.encode('checked_products');
}

/** Values from -1 to 1 without a pattern that a kernel could fall into. */
function waves(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(1 + i * 1.7 + seed));
}
