import { engineFormat } from './engine-format';
import { ggmlBytes, GgmlType } from './ggml-type';
import { halfToFloat } from './half';
import { allocateQuantGroups, QUANT_TYPES, readQuantGroups } from './quant-groups';

/** Writes the elements of a row that starts at byte `start` to `out` from `at` on. */
type RowReader = (view: DataView, start: number, elements: number, out: Float32Array, at: number) => void;

const FLOAT_READERS: Partial<Record<GgmlType, RowReader>> = {
  [GgmlType.F32]: readF32,
  [GgmlType.F16]: readF16,
  [GgmlType.BF16]: readBF16,
};

/**
 * Rows of a matrix as float32, one after the other in the order of `rowIndexes`: the lookup of token embeddings.
 *
 * @param raw the tensor as in the file
 * @param rowElements the matrix's first dimension
 * @throws PangalacticError `unsupported_tensor_type`
 */
export function dequantizeRows(
  type: GgmlType,
  raw: Uint8Array,
  rowElements: number,
  rowIndexes: ArrayLike<number>,
  out: Float32Array,
): void {
  engineFormat(type);
  const rowBytes = ggmlBytes(type, rowElements);
  const rows = raw.byteLength / rowBytes;
  if (out.length < rowIndexes.length * rowElements) {
    throw new RangeError(`${rowIndexes.length} rows of ${rowElements} elements do not fit into ${out.length}`);
  }
  const readRow = FLOAT_READERS[type] ?? quantReader(type, raw, rowElements);
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

/** The upper halves of float32 values. */
function readBF16(view: DataView, start: number, elements: number, out: Float32Array, at: number): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < elements; i++) bits[at + i] = view.getUint16(start + 2 * i, true) << 16;
}

function quantReader(type: GgmlType, raw: Uint8Array, rowElements: number): RowReader {
  const { groupSize, center, asymmetric } = QUANT_TYPES.get(type)!;
  const groups = allocateQuantGroups(type, rowElements);
  const { quants, scales, minimums } = groups;
  return (_view, start, elements, out, at) => {
    readQuantGroups(type, raw, start, elements, groups);
    for (let first = 0, group = 0; first < elements; first += groupSize, group++) {
      const scale = scales[group]!;
      if (asymmetric) {
        const minimum = minimums[group]!;
        for (let i = first; i < first + groupSize; i++) out[at + i] = scale * quants[i]! + minimum;
      } else {
        for (let i = first; i < first + groupSize; i++) out[at + i] = scale * (quants[i]! - center);
      }
    }
  };
}
