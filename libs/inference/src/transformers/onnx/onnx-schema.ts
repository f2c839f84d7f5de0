import { Root } from 'protobufjs';

/**
 * The part of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto that a shard needs. Field numbers are the
 * format: they never change.
 */
const field = (type: string, id: number, rule?: 'repeated') => ({ type, id, ...(rule && { rule }) });

const root = Root.fromJSON({
  nested: {
    StringStringEntry: { fields: { key: field('string', 1), value: field('string', 2) } },
    OperatorSetId: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    Tensor: {
      fields: {
        dims: field('int64', 1, 'repeated'),
        dataType: field('int32', 2),
        name: field('string', 8),
        rawData: field('bytes', 9),
        externalData: field('StringStringEntry', 13, 'repeated'),
        dataLocation: field('int32', 14),
      },
    },
    Attribute: {
      fields: {
        name: field('string', 1),
        f: field('float', 2),
        i: field('int64', 3),
        type: field('int32', 20),
      },
    },
    Node: {
      fields: {
        input: field('string', 1, 'repeated'),
        output: field('string', 2, 'repeated'),
        name: field('string', 3),
        opType: field('string', 4),
        attribute: field('Attribute', 5, 'repeated'),
        domain: field('string', 7),
      },
    },
    Dimension: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
    TensorShape: { fields: { dim: field('Dimension', 1, 'repeated') } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('TensorShape', 2) } },
    SequenceType: { fields: { elemType: field('Type', 1) } },
    Type: { fields: { tensorType: field('TensorType', 1), sequenceType: field('SequenceType', 4) } },
    ValueInfo: { fields: { name: field('string', 1), type: field('Type', 2) } },
    Graph: {
      fields: {
        node: field('Node', 1, 'repeated'),
        name: field('string', 2),
        initializer: field('Tensor', 5, 'repeated'),
        input: field('ValueInfo', 11, 'repeated'),
        output: field('ValueInfo', 12, 'repeated'),
      },
    },
    Model: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        graph: field('Graph', 7),
        opsetImport: field('OperatorSetId', 8, 'repeated'),
      },
    },
  },
});

/** TensorProto.DataType. */
export enum OnnxType {
  FLOAT = 1,
  UINT8 = 2,
  INT32 = 6,
  INT64 = 7,
}

export const EXTERNAL_DATA = 1;
export const ATTRIBUTE_FLOAT = 1;
export const ATTRIBUTE_INT = 2;

const modelType = root.lookupType('Model');

export function encodeModel(model: object): Uint8Array {
  return modelType.encode(modelType.fromObject(model)).finish();
}
