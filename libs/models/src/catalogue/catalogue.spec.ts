import { describe, expect, it } from 'vitest';
import { ggmlBytes, GgmlType } from '../gguf/ggml-type';
import { allTensors } from '../architecture/model-tensors';
import { parseModelSource } from '../download/model-source';
import { CATALOGUE, findCatalogueModel } from './catalogue';
import type { CatalogueModel } from './catalogue-model';
import { mixedType } from './quantisation-mix';

function tensorsOf({ shape, quantisation }: CatalogueModel) {
  return [...allTensors(shape)].map((tensor) => {
    const type = mixedType(quantisation, tensor, shape);
    return {
      type,
      bytes: ggmlBytes(
        type,
        tensor.shape.reduce((product, size) => product * size),
      ),
    };
  });
}

describe('the catalogue', () => {
  it('names each model once, with a file that can be downloaded', () => {
    expect(new Set(CATALOGUE.map(({ id }) => id)).size).toBe(CATALOGUE.length);
    for (const { id } of CATALOGUE) expect(parseModelSource(id, 'https://huggingface.co').id).toBe(id);
  });

  // A wrong size in a shape changes every layer, hence what is left for the header by more than it may have.
  it.each(CATALOGUE.map((model) => [model.id, model] as const))(
    '%s: the file is its tensors and a header of the size of its vocabulary',
    (_id, model) => {
      const header = model.fileBytes - tensorsOf(model).reduce((sum, { bytes }) => sum + bytes, 0);
      const perToken = header / model.shape.vocabSize;
      expect(perToken).toBeGreaterThan(20);
      expect(perToken).toBeLessThan(65);
    },
  );
});

it('mixes Q4_K_M as the published TinyLlama has it', () => {
  const types = tensorsOf(findCatalogueModel('tinyllama-1.1b')!).map(({ type }) => type);
  const count = (type: GgmlType) => types.filter((found) => found === type).length;
  expect([count(GgmlType.Q4_K), count(GgmlType.Q6_K), count(GgmlType.F32)]).toEqual([135, 21, 45]);
});
