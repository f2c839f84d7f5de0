import { GgmlType, ggmlTypeLayout } from '../gguf/ggml-type';
import { type ExpectedTensor, type ModelShape, OUTPUT_HEAD, TOKEN_EMBEDDING } from '../architecture/model-tensors';
import type { QuantisationMix } from './catalogue-model';

/** For rows that are no whole number of super-blocks (llama.cpp, tensor_type_fallback). */
const FALLBACK: ReadonlyMap<GgmlType, GgmlType> = new Map([
  [GgmlType.Q4_K, GgmlType.Q5_0],
  [GgmlType.Q5_K, GgmlType.Q5_1],
  [GgmlType.Q6_K, GgmlType.Q8_0],
]);

/** Layers of the models that llama.cpp calls 70B, where eight heads share each value matrix. */
const LAYERS_OF_70B = 80;

/** The type that llama.cpp's quantiser gives a tensor (llama-quant.cpp, llama_tensor_get_type). Vectors stay float32. */
export function mixedType(mix: QuantisationMix, tensor: ExpectedTensor, shape: ModelShape): GgmlType {
  if (tensor.shape.length === 1) return GgmlType.F32;
  if (mix === 'Q8_0') return GgmlType.Q8_0;
  const wanted = wantedType(tensor.name, shape);
  const wholeBlocks = tensor.shape[0]! % ggmlTypeLayout(wanted).blockSize === 0;
  return wholeBlocks ? wanted : FALLBACK.get(wanted)!;
}

/** Q4_K_M: 4 bits, with more for the output head and, in half of the layers, for the values and what leaves the layer. */
function wantedType(name: string, { layers, tiedEmbeddings }: ModelShape): GgmlType {
  if (name === OUTPUT_HEAD || (name === TOKEN_EMBEDDING && tiedEmbeddings)) return GgmlType.Q6_K;
  const [, layer, part] = /^blk\.(\d+)\.(attn_v|ffn_down)\.weight$/.exec(name) ?? [];
  if (layer === undefined) return GgmlType.Q4_K;
  if (getsMoreBits(Number(layer), layers)) return GgmlType.Q6_K;
  return part === 'attn_v' && layers === LAYERS_OF_70B ? GgmlType.Q5_K : GgmlType.Q4_K;
}

/** The first and the last eighth of the layers, and every third one between. */
function getsMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}
