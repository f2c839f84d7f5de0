/** Tensor types of the GGUF format (ggml.h, enum ggml_type); 4, 5, 31-33 and 36-38 were removed from it. */
export enum GgmlType {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q8_1 = 9,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  Q8_K = 15,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
}

export interface GgmlTypeLayout {
  readonly name: string;
  /** Elements that are stored together; a row is a whole number of blocks. */
  readonly blockSize: number;
  /** Bytes of a block in the file. */
  readonly blockBytes: number;
}

function layout(type: GgmlType, blockSize: number, blockBytes: number): [GgmlType, GgmlTypeLayout] {
  return [type, { name: GgmlType[type], blockSize, blockBytes }];
}

/** Also types that the engine cannot run: their tensors must be measured to be named in an error. */
export const GGML_TYPES: ReadonlyMap<GgmlType, GgmlTypeLayout> = new Map([
  layout(GgmlType.F32, 1, 4),
  layout(GgmlType.F16, 1, 2),
  layout(GgmlType.Q4_0, 32, 18),
  layout(GgmlType.Q4_1, 32, 20),
  layout(GgmlType.Q5_0, 32, 22),
  layout(GgmlType.Q5_1, 32, 24),
  layout(GgmlType.Q8_0, 32, 34),
  layout(GgmlType.Q8_1, 32, 36),
  layout(GgmlType.Q2_K, 256, 84),
  layout(GgmlType.Q3_K, 256, 110),
  layout(GgmlType.Q4_K, 256, 144),
  layout(GgmlType.Q5_K, 256, 176),
  layout(GgmlType.Q6_K, 256, 210),
  layout(GgmlType.Q8_K, 256, 292),
  layout(GgmlType.IQ2_XXS, 256, 66),
  layout(GgmlType.IQ2_XS, 256, 74),
  layout(GgmlType.IQ3_XXS, 256, 98),
  layout(GgmlType.IQ1_S, 256, 50),
  layout(GgmlType.IQ4_NL, 32, 18),
  layout(GgmlType.IQ3_S, 256, 110),
  layout(GgmlType.IQ2_S, 256, 82),
  layout(GgmlType.IQ4_XS, 256, 136),
  layout(GgmlType.I8, 1, 1),
  layout(GgmlType.I16, 1, 2),
  layout(GgmlType.I32, 1, 4),
  layout(GgmlType.I64, 1, 8),
  layout(GgmlType.F64, 1, 8),
  layout(GgmlType.IQ1_M, 256, 56),
  layout(GgmlType.BF16, 1, 2),
  layout(GgmlType.TQ1_0, 256, 54),
  layout(GgmlType.TQ2_0, 256, 66),
  layout(GgmlType.MXFP4, 32, 17),
]);

export function ggmlTypeLayout(type: GgmlType): GgmlTypeLayout {
  const found = GGML_TYPES.get(type);
  if (!found) throw new RangeError(`GGML type ${type} does not exist`);
  return found;
}

/** Bytes of a tensor in the file. */
export function ggmlBytes(type: GgmlType, elements: number): number {
  const { blockSize, blockBytes } = ggmlTypeLayout(type);
  return (elements / blockSize) * blockBytes;
}

export function describeTypes(types: readonly GgmlType[]): string {
  return types.map((type) => ggmlTypeLayout(type).name).join(', ');
}
