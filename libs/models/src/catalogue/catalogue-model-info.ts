import type { ModelInfo } from '@pangalactic/contracts';
import { engineSizes } from '../inspect-model';
import type { CatalogueModel } from './catalogue-model';
import { mixedType } from './quantisation-mix';

/** What a node would report of the model's file, without the file. Fingerprints differ from any real one. */
export function catalogueModelInfo({ id, shape, quantisation, contextLength, fileBytes }: CatalogueModel): ModelInfo {
  const { architecture, layers, hiddenSize, vocabSize, heads, kvHeads, headSize } = shape;
  return {
    id,
    fingerprint: '',
    ...{ architecture, layers, hiddenSize, vocabSize, heads, kvHeads, headSize },
    contextLength,
    ...engineSizes(shape, (tensor) => mixedType(quantisation, tensor, shape)),
    fileBytes,
  };
}
