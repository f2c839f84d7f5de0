import { ATTRIBUTE_FLOAT, ATTRIBUTE_INT, encodeModel, EXTERNAL_DATA, OnnxType } from './onnx-schema';

export type Dimension = number | string;

/** Where a weight lies: a file beside the model, a byte range in it. */
export interface ExternalTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

interface NodeOptions {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: 'com.microsoft';
  readonly ints?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
}

const IR_VERSION = 8;
const OPSETS = [
  { domain: '', version: 18 },
  { domain: 'com.microsoft', version: 1 },
];

/** Collects the parts of an ONNX graph in the order in which they run. */
export class GraphBuilder {
  private readonly nodes: object[] = [];
  private readonly initializers = new Map<string, object>();
  private readonly inputs: object[] = [];
  private readonly outputs: object[] = [];

  input(name: string, type: OnnxType, shape: readonly Dimension[]): string {
    this.inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, type: OnnxType, shape: readonly Dimension[]): void {
    this.outputs.push(valueInfo(name, type, shape));
  }

  /** An output that is not a tensor: an empty sequence of float tensors. */
  emptySequenceOutput(name: string): void {
    this.node('SequenceEmpty', { inputs: [], outputs: [name], ints: { dtype: OnnxType.FLOAT } });
    const elemType = { tensorType: { elemType: OnnxType.FLOAT, shape: { dim: [] } } };
    this.outputs.push({ name, type: { sequenceType: { elemType } } });
  }

  node(opType: string, { inputs, outputs, domain, ints = {}, floats = {} }: NodeOptions): void {
    this.nodes.push({
      opType,
      name: outputs[0],
      domain: domain ?? '',
      input: inputs,
      output: outputs,
      attribute: [
        ...Object.entries(ints).map(([name, i]) => ({ name, i, type: ATTRIBUTE_INT })),
        ...Object.entries(floats).map(([name, f]) => ({ name, f, type: ATTRIBUTE_FLOAT })),
      ],
    });
  }

  weight({ name, type, shape, file, offset, bytes }: ExternalTensor): string {
    this.initializers.set(name, {
      name,
      dataType: type,
      dims: shape,
      dataLocation: EXTERNAL_DATA,
      externalData: Object.entries({ location: file, offset, length: bytes }).map(([key, value]) => ({
        key,
        value: String(value),
      })),
    });
    return name;
  }

  constant(name: string, data: Float32Array | BigInt64Array | Uint8Array, shape: readonly number[]): string {
    this.initializers.set(name, {
      name,
      dataType: elementType(data),
      dims: shape,
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    return name;
  }

  encode(graphName: string): Uint8Array {
    return encodeModel({
      irVersion: IR_VERSION,
      producerName: 'pangalactic',
      opsetImport: OPSETS,
      graph: {
        name: graphName,
        node: this.nodes,
        initializer: [...this.initializers.values()],
        input: this.inputs,
        output: this.outputs,
      },
    });
  }
}

function elementType(data: Float32Array | BigInt64Array | Uint8Array): OnnxType {
  if (data instanceof Float32Array) return OnnxType.FLOAT;
  return data instanceof Uint8Array ? OnnxType.UINT8 : OnnxType.INT64;
}

function valueInfo(name: string, type: OnnxType, shape: readonly Dimension[]): object {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return { name, type: { tensorType: { elemType: type, shape: { dim } } } };
}
