import { PangalacticError } from '@pangalactic/contracts';
import { describeTypes, ggmlBytes, GgmlType, ggmlTypeLayout, MATRIX_TYPES } from './ggml-type';
import { halfToFloat } from './half';

/** Writes the elements of a row that starts at byte `start` to `out` from `at` on. */
type RowReader = (view: DataView, start: number, elements: number, out: Float32Array, at: number) => void;

const ROW_READERS: ReadonlyMap<GgmlType, RowReader> = new Map<GgmlType, RowReader>([
  [GgmlType.F32, readF32],
  [GgmlType.F16, readF16],
  [GgmlType.Q8_0, readQ8],
  [GgmlType.Q4_0, readQ4],
]);

/**
 * Rows of a matrix as float32, one after the other in the order of `rowIndexes`: the lookup of token embeddings.
 *
 * @param raw the tensor as in the file
 * @param rowElements the matrix's first dimension
 */
export function dequantizeRows(
  type: GgmlType,
  raw: Uint8Array,
  rowElements: number,
  rowIndexes: ArrayLike<number>,
  out: Float32Array,
): void {
  const readRow = ROW_READERS.get(type);
  if (!readRow) {
    const name = ggmlTypeLayout(type).name;
    throw new PangalacticError(
      'unsupported_tensor_type',
      `tensor type ${name}: allowed: ${describeTypes(MATRIX_TYPES)}`,
    );
  }
  const rowBytes = ggmlBytes(type, rowElements);
  const rows = raw.byteLength / rowBytes;
  if (out.length < rowIndexes.length * rowElements) {
    throw new RangeError(`${rowIndexes.length} rows of ${rowElements} elements do not fit into ${out.length}`);
  }
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  for (let i = 0; i < rowIndexes.length; i++) {
    const row = rowIndexes[i]!;
    if (!Number.isInteger(row) || row < 0 || row >= rows) throw new RangeError(`row ${row}: allowed: 0 to ${rows - 1}`);
    readRow(view, row * rowBytes, rowElements, out, i * rowElements);
  }
}

function readF32(view: DataView, start: number, elements: number, out: Float32Array, at: number): void {
  for (let i = 0; i < elements; i++) out[at + i] = view.getFloat32(start + 4 * i, true);
}

function readF16(view: DataView, start: number, elements: number, out: Float32Array, at: number): void {
  for (let i = 0; i < elements; i++) out[at + i] = halfToFloat(view.getUint16(start + 2 * i, true));
}

/** Blocks of 32: a float16 scale, then 32 signed bytes. */
function readQ8(view: DataView, start: number, elements: number, out: Float32Array, at: number): void {
  for (let i = 0, block = start; i < elements; i += 32, block += 34) {
    const scale = halfToFloat(view.getUint16(block, true));
    for (let j = 0; j < 32; j++) out[at + i + j] = scale * view.getInt8(block + 2 + j);
  }
}

/** Blocks of 32: a float16 scale, then 16 bytes with element j in the low and element j + 16 in the high half; 8 is 0. */
function readQ4(view: DataView, start: number, elements: number, out: Float32Array, at: number): void {
  for (let i = 0, block = start; i < elements; i += 32, block += 18) {
    const scale = halfToFloat(view.getUint16(block, true));
    for (let j = 0; j < 16; j++) {
      const pair = view.getUint8(block + 2 + j);
      out[at + i + j] = scale * ((pair & 0x0f) - 8);
      out[at + i + j + 16] = scale * ((pair >> 4) - 8);
    }
  }
}
