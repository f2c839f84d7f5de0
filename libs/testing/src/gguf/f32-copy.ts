import { dequantizeRows, GgmlType, GgufFile, type GgufTensor } from '@pangalactic/models';
import { type TensorSource, writeGguf } from './write-gguf';

/**
 * The same model with all tensors in float32, for parity without rounding. The metadata stays byte for byte, so its
 * `general.file_type` still names the source's type; nothing computes with it.
 */
export async function writeF32Copy(source: string, target: string): Promise<void> {
  const file = await GgufFile.open(source);
  try {
    const { header, headerBytes } = file;
    const metadata = { entries: header.metadata.size, bytes: headerBytes.subarray(FIXED_BYTES, header.tableOffset) };
    const tensors = [...header.tensors.values()].map((tensor): TensorSource => ({
      name: tensor.name,
      type: GgmlType.F32,
      shape: tensor.shape,
      chunks: () => readAsF32(file, tensor),
    }));
    await writeGguf(target, metadata, tensors);
  } finally {
    await file.close();
  }
}

/** Magic, version and the two counts, in front of the metadata. */
const FIXED_BYTES = 24;

async function* readAsF32(file: GgufFile, tensor: GgufTensor): AsyncGenerator<Uint8Array> {
  const raw = await file.readTensor(tensor.name);
  const [rowElements = 1, ...others] = tensor.shape;
  const rows = others.reduce((product, size) => product * size, 1);
  const values = new Float32Array(rows * rowElements);
  dequantizeRows(tensor.type, raw, rowElements, [...Array(rows).keys()], values);
  yield new Uint8Array(values.buffer);
}
