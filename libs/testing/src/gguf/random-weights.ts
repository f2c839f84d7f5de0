import { ggmlBytes, type GgmlType, ggmlTypeLayout } from '@pangalactic/models';
import { seededRandom } from '../seeded-random';
import { encodeTensor } from './encode-tensor';

/** Values that are drawn once; a larger tensor is put together from pieces of them. */
const POOL_VALUES = 2 ** 20;
/** A row of a large tensor consists of this many pieces (or as many as it has blocks), so that no two rows are alike. */
const PIECES_PER_ROW = 8;
/** Elements that are copied together, if the type's blocks are not larger. */
const BLOCK = 32;
const CHUNK_BYTES = 2 ** 20;

/** Deterministic by seed on every platform: integer arithmetic and exact sums only. */
export class RandomWeights {
  private pool: Float32Array | undefined;
  private readonly encodedPools = new Map<string, Uint8Array>();
  private readonly uniform: () => number;

  constructor(seed: number) {
    this.uniform = seededRandom(seed);
  }

  /** Values of nearly normal distribution. */
  normals(count: number, mean: number, deviation: number): Float32Array {
    // The sum of four uniform draws has the mean 2 and the variance 4 / 12.
    const scale = deviation * Math.sqrt(3);
    return Float32Array.from({ length: count }, () => {
      const sum = this.uniform() + this.uniform() + this.uniform() + this.uniform();
      return mean + scale * (sum - 2);
    });
  }

  /**
   * The bytes of a matrix of normal values. The rows of a large one are cut from a pool, as a draw for each of a
   * billion weights would take a minute.
   *
   * @param zeroRow a row to be left at zero
   */
  *matrix(
    type: GgmlType,
    shape: readonly [number, number],
    deviation: number,
    zeroRow?: number,
  ): Generator<Uint8Array> {
    const [rowElements, rows] = shape;
    if (rowElements * rows <= POOL_VALUES || rowElements % blockOf(type) !== 0) {
      const values = this.normals(rowElements * rows, 0, deviation);
      if (zeroRow !== undefined) values.fill(0, zeroRow * rowElements, (zeroRow + 1) * rowElements);
      yield encodeTensor(type, values);
      return;
    }
    const rowBytes = ggmlBytes(type, rowElements);
    const rowsPerChunk = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
    for (let first = 0; first < rows; first += rowsPerChunk) {
      const chunk = this.pooledRows(type, rowElements, Math.min(rowsPerChunk, rows - first), deviation);
      if (zeroRow !== undefined && zeroRow >= first && zeroRow < first + rowsPerChunk) {
        chunk.set(encodeTensor(type, new Float32Array(rowElements)), (zeroRow - first) * rowBytes);
      }
      yield chunk;
    }
  }

  private pooledRows(type: GgmlType, rowElements: number, rows: number, deviation: number): Uint8Array {
    const pool = this.encodedPool(type, deviation);
    const blockSize = blockOf(type);
    const rowBlocks = rowElements / blockSize;
    const pieceBlocks = Math.ceil(rowBlocks / PIECES_PER_ROW);
    const blockBytes = ggmlBytes(type, blockSize);
    const out = new Uint8Array(rows * rowBlocks * blockBytes);
    for (let row = 0; row < rows; row++) {
      for (let block = 0; block < rowBlocks; block += pieceBlocks) {
        const blocks = Math.min(pieceBlocks, rowBlocks - block);
        const start = Math.floor(this.uniform() * (POOL_VALUES / blockSize - blocks)) * blockBytes;
        out.set(pool.subarray(start, start + blocks * blockBytes), (row * rowBlocks + block) * blockBytes);
      }
    }
    return out;
  }

  private encodedPool(type: GgmlType, deviation: number): Uint8Array {
    const key = `${type} ${deviation}`;
    let encoded = this.encodedPools.get(key);
    if (!encoded) {
      const pool = (this.pool ??= this.normals(POOL_VALUES, 0, 1));
      encoded = encodeTensor(
        type,
        pool.map((value) => value * deviation),
      );
      this.encodedPools.set(key, encoded);
    }
    return encoded;
  }
}

function blockOf(type: GgmlType): number {
  return Math.max(BLOCK, ggmlTypeLayout(type).blockSize);
}
