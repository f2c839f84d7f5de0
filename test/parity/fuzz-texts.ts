/** Parts that tokenizers get wrong: special tokens and halves of them, whitespace, joined emoji, broken Unicode. */
const PARTS: readonly string[] = [
  ...['<|im_start|>', '<|im_end|>', '<s>', '</s>', '<unk>', '<|im_', 'end|>', '<', '|>', '<0x0A>', '[INST]'],
  ...[' ', '  ', '     ', '\n', '\n\n', '\r\n', '\t', '\u00a0', '\u2003', '\u3000', '▁', '▁▁'],
  ...['\u0000', '\u0001', '\u001b[0m', '\u007f', '\u0085', '\u200b', '\u202e', '\ufeff', '\ufffd', '\uffff'],
  ...['🚀', '👨‍👩‍👧', '🏳️‍🌈', '🇩🇪', '👍🏽', 'é', 'e\u0301', 'ß', 'İ', 'ﬁ', '日本語', 'мир', 'مرحبا', '한국어', '𝔘𝔫𝔦'],
  ...['\ud800', '\udfff', '\ude80\ud83d'],
  ...[
    'Hello',
    ' Hello',
    'Once upon a time',
    ', there was a little girl',
    'PanGalactic',
    ' the',
    '1234567890',
    '3.14',
    'xxxxxxx',
  ],
];

/** The same texts on every machine and in every run. */
export function fuzzTexts(count: number, seed: number): string[] {
  const random = mulberry32(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const piece = (): string => {
    switch (below(4)) {
      case 0:
        return String.fromCharCode(0x20 + below(0x5f));
      case 1:
        return String.fromCharCode(below(0x10000));
      case 2:
        return String.fromCodePoint(below(0x110000));
      default:
        return PARTS[below(PARTS.length)]!;
    }
  };
  return Array.from({ length: count }, () => Array.from({ length: below(14) }, piece).join(''));
}

/** Tommy Ettinger's generator, public domain: 32 bits of state, good enough for test data. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
