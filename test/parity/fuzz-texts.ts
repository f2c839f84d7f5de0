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

/** Parts that are cut into words in one way or another. */
const WORD_PARTS: readonly string[] = [
  ...[
    "I'm",
    "you'RE",
    " we've",
    "'S",
    "'Ll",
    "it's",
    "'d",
    "don't",
    "'",
    "''",
    "'TL",
    "'Te",
    "'TT",
    "'Td",
    "'Tm",
    "'Dl",
    "'MM",
    "'Dam",
    "'REal",
    "'LLama",
  ],
  ...['little', ' little', 'there', ' there', 'HELLO', ' camelCaseWord', 'ABCdef', 'ÀÉÎõü', 'Straße', 'Ǆǅǆ'],
  ...['1', '22', '333', '4444', ' 5', '١٢٣', '½²', 'Ⅷ', '1.5', '-7', '0x1F'],
  ...[
    '   \n\n  x',
    '\n\n\n',
    '\t\t',
    ' \r\n',
    '\u0085',
    '\u2028',
    '      ',
    '\ufeff x',
    '\u180e',
    '!\ufeff!',
    '!\u0085!',
    '  \u0085\u0085a',
  ],
  ...['!!!', '...', '$+<=>^~|`', '(a)', '//', '/\n', '—', '¿?', '«»', '漢字かな交じり文', '、。', '한국', '👍🏽👍🏽'],
  ...['<think>', '</think>', '<|endoftext|>', '<|fim_prefix|>', '<|file_sep|>', '[/INST]', '日本語と漢字'],
];
/** Letters and digits of Unicode 16 and 17, and their blocks: llama.cpp's tables are older than those of Node 20. */
const NEW_LETTERS =
  /[\u088f\u0c5c\u0cdc\u1c89\u1c8a\ua7cb-\ua7f1\u{10500}-\u{1cfff}\u{1e5d0}-\u{1e6ff}\u{2b73a}-\u{2b73f}\u{2cea2}-\u{2cead}\u{323b0}-\u{33479}]/gu;

/** Texts that tell pre-tokenisers apart. */
export function fuzzWordTexts(count: number, seed: number): string[] {
  return fuzzTexts(count, seed, [...PARTS, ...WORD_PARTS]).map((text) => text.replace(NEW_LETTERS, ''));
}

/** The same texts on every machine and in every run. */
export function fuzzTexts(count: number, seed: number, parts = PARTS): string[] {
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
        return parts[below(parts.length)]!;
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
