import { ActivationFormat, PangalacticError } from '@pangalactic/contracts';
import { float32FromBytes, float32ToBytes } from '../tensor-bytes';
import { decodeFloat16, encodeFloat16 } from './float16';
import { decodeInt8Rows, encodeInt8Rows, int8RowBytes } from './int8-rows';

/** As a person writes them. */
export const ACTIVATION_FORMATS = {
  f32: ActivationFormat.ACTIVATION_FORMAT_F32,
  f16: ActivationFormat.ACTIVATION_FORMAT_F16,
  int8: ActivationFormat.ACTIVATION_FORMAT_INT8,
} as const;

export type ActivationFormatName = keyof typeof ACTIVATION_FORMATS;

/** How the hidden states of a hop become bytes. Both ends of a hop use the same one. */
export interface ActivationCodec {
  readonly name: ActivationFormatName;
  /** @param hidden [tokens, hiddenSize] */
  encode(hidden: Float32Array, hiddenSize: number): Buffer;
  /**
   * The caller owns what it gets.
   * @throws PangalacticError `invalid_frame` when the bytes are not exactly those of that many tokens
   */
  decode(bytes: Uint8Array, tokens: number, hiddenSize: number): Float32Array;
}

const F32: ActivationCodec = {
  name: 'f32',
  encode: float32ToBytes,
  decode: (bytes, tokens, hiddenSize) => float32FromBytes(bytes, tokens * hiddenSize),
};

const F16: ActivationCodec = {
  name: 'f16',
  encode: (hidden) => {
    const halves = new Uint16Array(hidden.length);
    encodeFloat16(hidden, halves);
    return Buffer.from(halves.buffer);
  },
  decode: (bytes, tokens, hiddenSize) => {
    const values = new Float32Array(tokens * hiddenSize);
    checkLength(bytes, 2 * values.length, `${values.length} float16 values`);
    const isAligned = bytes.byteOffset % 2 === 0;
    const aligned = isAligned ? bytes : Uint8Array.from(bytes);
    decodeFloat16(new Uint16Array(aligned.buffer, aligned.byteOffset, values.length), values);
    return values;
  },
};

const INT8: ActivationCodec = {
  name: 'int8',
  encode: (hidden, hiddenSize) => {
    const bytes = Buffer.allocUnsafe((hidden.length / hiddenSize) * int8RowBytes(hiddenSize));
    encodeInt8Rows(hidden, hiddenSize, bytes);
    return bytes;
  },
  decode: (bytes, tokens, hiddenSize) => {
    const values = new Float32Array(tokens * hiddenSize);
    checkLength(
      bytes,
      tokens * int8RowBytes(hiddenSize),
      `${tokens} rows of ${hiddenSize} int8 values and their scale`,
    );
    decodeInt8Rows(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), hiddenSize, values);
    return values;
  },
};

const CODECS: Readonly<Partial<Record<ActivationFormat, ActivationCodec>>> = {
  [ActivationFormat.ACTIVATION_FORMAT_F32]: F32,
  [ActivationFormat.ACTIVATION_FORMAT_F16]: F16,
  [ActivationFormat.ACTIVATION_FORMAT_INT8]: INT8,
};

/**
 * @param format absent: f32
 * @throws PangalacticError `invalid_request` for a format that this version does not know
 */
export function activationCodec(format: ActivationFormat = ActivationFormat.ACTIVATION_FORMAT_F32): ActivationCodec {
  const codec = CODECS[format];
  const allowed = Object.entries(ACTIVATION_FORMATS)
    .map(([name, number]) => `${number} (${name})`)
    .join(', ');
  if (!codec) throw new PangalacticError('invalid_request', `activation format ${format}: allowed are ${allowed}`);
  return codec;
}

function checkLength(bytes: Uint8Array, expected: number, what: string): void {
  if (bytes.byteLength === expected) return;
  throw new PangalacticError(
    'invalid_frame',
    `a tensor of ${bytes.byteLength} bytes arrived, expected ${what} (${expected} bytes)`,
  );
}
