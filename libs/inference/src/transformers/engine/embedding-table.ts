import { dequantizeRows, type GgufFile, type GgufTensor } from '@pangalactic/models';

/** The token embedding, kept as it lies in the file: only the rows in use are ever expanded. */
export class EmbeddingTable {
  private constructor(
    private readonly tensor: GgufTensor,
    private readonly raw: Uint8Array,
  ) {}

  static async read(model: GgufFile): Promise<EmbeddingTable> {
    const tensor = model.header.tensors.get('token_embd.weight')!;
    return new EmbeddingTable(tensor, await model.readTensor(tensor.name));
  }

  /** @returns [tokens, hidden] float32 */
  lookUp(tokenIds: Uint32Array): Float32Array {
    const hiddenSize = this.tensor.shape[0]!;
    const hidden = new Float32Array(tokenIds.length * hiddenSize);
    dequantizeRows(this.tensor.type, this.raw, hiddenSize, tokenIds, hidden);
    return hidden;
  }
}
