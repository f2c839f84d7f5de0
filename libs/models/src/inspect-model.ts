import type { ModelInfo } from '@pangalactic/contracts';
import { namingFile } from './gguf/errors';
import { engineBytes } from './gguf/engine-format';
import { ggmlBytes, type GgmlType } from './gguf/ggml-type';
import { GgufFile } from './gguf/gguf-file';
import type { GgufHeader } from './gguf/gguf-header';
import { describeModel } from './architecture/describe-model';
import {
  embeddingTensor,
  type ExpectedTensor,
  layerTensors,
  type ModelShape,
  outputTensors,
} from './architecture/model-tensors';

/** What a node reports of a file: read from its header and a few samples, never from all of its weights. */
export async function inspectModel(id: string, path: string): Promise<ModelInfo> {
  const file = await GgufFile.open(path);
  try {
    const model = await namingFile(path, async () => describeModel(file.header));
    return {
      id,
      fingerprint: await file.fingerprint(),
      architecture: model.architecture,
      layers: model.layers,
      hiddenSize: model.hiddenSize,
      vocabSize: model.vocabSize,
      contextLength: model.contextLength,
      heads: model.heads,
      kvHeads: model.kvHeads,
      headSize: model.headSize,
      ...weightBytes(file.header, model),
      fileBytes: file.size,
    };
  } finally {
    await file.close();
  }
}

type EngineSizes = Pick<ModelInfo, 'layerBytes' | 'embeddingBytes' | 'outputBytes'>;

/** What the parts of a described model take in the engine. */
export function weightBytes(header: GgufHeader, shape: ModelShape): EngineSizes {
  // describeModel has proved that each tensor is there.
  return engineSizes(shape, ({ name }) => header.tensors.get(name)!.type);
}

/** The same for tensors of any origin. */
export function engineSizes(shape: ModelShape, typeOf: (tensor: ExpectedTensor) => GgmlType): EngineSizes {
  const bytes = (tensor: ExpectedTensor) => engineBytes(typeOf(tensor), elementsOf(tensor));
  const sum = (tensors: readonly ExpectedTensor[]) => tensors.reduce((total, tensor) => total + bytes(tensor), 0);
  const embedding = embeddingTensor(shape);
  return {
    layerBytes: Array.from({ length: shape.layers }, (_, layer) => sum(layerTensors(shape, layer))),
    // The head stage keeps the table as it is in the file and looks rows up in it.
    embeddingBytes: ggmlBytes(typeOf(embedding), elementsOf(embedding)),
    outputBytes: sum(outputTensors(shape)),
  };
}

function elementsOf({ shape }: ExpectedTensor): number {
  return shape.reduce((product, size) => product * size);
}
