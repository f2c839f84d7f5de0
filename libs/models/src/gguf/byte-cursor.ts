/** The bytes end before the value does. Internal to the header parser, which turns it into "read on" or a typed error. */
export class EndOfBytes extends Error {}

/** Reads little-endian values one after the other, never beyond the end. */
export class ByteCursor {
  private readonly view: DataView;
  private readonly buffer: Buffer;
  private position = 0;

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.position;
  }

  /** To be called before anything is allocated for a length that the bytes claim. */
  demand(bytes: number): void {
    if (bytes > this.view.byteLength - this.position) throw new EndOfBytes();
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1));
  }

  int8(): number {
    return this.view.getInt8(this.advance(1));
  }

  uint16(): number {
    return this.view.getUint16(this.advance(2), true);
  }

  int16(): number {
    return this.view.getInt16(this.advance(2), true);
  }

  uint32(): number {
    return this.view.getUint32(this.advance(4), true);
  }

  int32(): number {
    return this.view.getInt32(this.advance(4), true);
  }

  uint64(): bigint {
    return this.view.getBigUint64(this.advance(8), true);
  }

  int64(): bigint {
    return this.view.getBigInt64(this.advance(8), true);
  }

  float32(): number {
    return this.view.getFloat32(this.advance(4), true);
  }

  float64(): number {
    return this.view.getFloat64(this.advance(8), true);
  }

  utf8(bytes: number): string {
    const start = this.advance(bytes);
    return this.buffer.toString('utf8', start, start + bytes);
  }

  private advance(bytes: number): number {
    this.demand(bytes);
    const start = this.position;
    this.position += bytes;
    return start;
  }
}
