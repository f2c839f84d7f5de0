/**
 * GPT-2's spelling of bytes: one visible character for each. Printable Latin-1 stands for itself, the other bytes, in order,
 * for U+0100 and on: "Ġ" is a space.
 */
const CODE_OF_BYTE = new Uint16Array(256);
const BYTE_OF_CODE = new Map<number, number>();

let nextCode = 0x100;
for (let byte = 0; byte < 256; byte++) {
  const code = isVisible(byte) ? byte : nextCode++;
  CODE_OF_BYTE[byte] = code;
  BYTE_OF_CODE.set(code, byte);
}

/** One UTF-16 unit for each byte. */
export function spellBytes(bytes: Uint8Array): string {
  const codes = new Uint16Array(bytes.length);
  for (let index = 0; index < bytes.length; index++) codes[index] = CODE_OF_BYTE[bytes[index]!]!;
  return Buffer.from(codes.buffer).toString('utf16le');
}

/** The bytes that a spelling stands for; a character outside the alphabet stands for itself. */
export function readBytes(spelling: string): Uint8Array {
  const parts = Array.from(spelling, (character) => {
    const byte = BYTE_OF_CODE.get(character.codePointAt(0)!);
    return byte === undefined ? Buffer.from(character, 'utf8') : Uint8Array.of(byte);
  });
  return Buffer.concat(parts);
}

function isVisible(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
}
