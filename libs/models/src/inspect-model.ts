import type { ModelInfo } from '@pangalactic/contracts';
import { namingFile } from './gguf/errors';
import { engineBytes } from './gguf/engine-format';
import { GgufFile } from './gguf/gguf-file';
import type { GgufHeader } from './gguf/gguf-header';
import { describeModel } from './architecture/describe-model';
import { embeddingTensor, type ExpectedTensor, layerTensors, type ModelShape, outputTensors } from './architecture/model-tensors';

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

/** What the parts of a described model take in the engine. */
export function weightBytes(
  header: GgufHeader,
  shape: ModelShape,
): Pick<ModelInfo, 'layerBytes' | 'embeddingBytes' | 'outputBytes'> {
  const layers = Array.from({ length: shape.layers }, (_, layer) => layerTensors(shape, layer));
  return {
    layerBytes: layers.map((tensors) => bytesInEngine(header, tensors)),
    // The head stage keeps the table as it is in the file and looks rows up in it.
    embeddingBytes: tensorOf(header, embeddingTensor(shape)).bytes,
    outputBytes: bytesInEngine(header, outputTensors(shape)),
  };
}

function bytesInEngine(header: GgufHeader, tensors: readonly ExpectedTensor[]): number {
  return tensors
    .map((tensor) => engineBytes(tensorOf(header, tensor).type, tensor.shape.reduce((product, size) => product * size)))
    .reduce((sum, bytes) => sum + bytes, 0);
}

function tensorOf(header: GgufHeader, expected: ExpectedTensor) {
  // describeModel has proved that it is there.
  return header.tensors.get(expected.name)!;
}
