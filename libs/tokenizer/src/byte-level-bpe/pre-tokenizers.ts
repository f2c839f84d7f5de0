import type { PreTokenizer } from '@pangalactic/models';

/** `\s` of the tokenizers: JavaScript's has U+FEFF, which is no white space to them, and lacks U+0085. */
const SPACE = String.raw`\p{White_Space}`;
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const CONTRACTION = `'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])`;
const SYMBOLS = String.raw` ?[^${SPACE}\p{L}\p{N}]+`;
const LINE_ENDS = String.raw`${SPACE}*[\r\n]+`;
/** All but the last space before a word, which belongs to the word; all spaces at the end. */
const SPACES = String.raw`${SPACE}+(?!\P{White_Space})|${SPACE}+`;

const GPT_2 = pattern(`'(?:[stmd]|re|ve|ll)`, String.raw` ?\p{L}+`, String.raw` ?\p{N}+`, SYMBOLS, SPACES);
const NUMBER = pattern(String.raw`\p{N}`);
/** Letters in which upper case, if any, comes before lower case; letters without case are both. */
const CASED_WORD = [
  String.raw`[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])*(?:(?=\p{L})[^A-Z])+`,
  String.raw`[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])+(?:(?=\p{L})[^A-Z])*`,
];

/**
 * The patterns that cut a text into words, each applied to what the one before has left, matches and gaps alike. They are
 * llama.cpp's (llama-vocab.cpp, unicode.cpp), which differ from the models' own tokenizer.json in details.
 */
export const PRE_TOKENIZER_PATTERNS: Readonly<Record<PreTokenizer, readonly RegExp[]>> = {
  default: [
    pattern(String.raw`[\p{P}$+<=>^~|]+`),
    GPT_2,
    pattern(String.raw`\p{N}+`),
    pattern(String.raw`[0-9][0-9][0-9]`),
  ],
  gpt2: [GPT_2],
  llama3: [pattern(CONTRACTION, WORD, String.raw`\p{N}{1,3}`, String.raw`${SYMBOLS}[\r\n]*`, LINE_ENDS, SPACES)],
  qwen2: [pattern(CONTRACTION, WORD, String.raw`\p{N}`, String.raw`${SYMBOLS}[\r\n]*`, LINE_ENDS, SPACES)],
  smollm: [NUMBER, GPT_2],
  tekken: [pattern(...CASED_WORD, String.raw`\p{N}`, String.raw`${SYMBOLS}[\r\n/]*`, LINE_ENDS, SPACES)],
  'seed-coder': [
    pattern(CONTRACTION, WORD, String.raw`\p{N}`, String.raw` ?[^${SPACE}\p{L}\p{N}\r\n]+`, LINE_ENDS, SPACES),
  ],
};

/** The words of a text, in order and without gaps. */
export function* splitWords(text: string, patterns: readonly RegExp[], first = 0): Generator<string, void, void> {
  const expression = patterns[first];
  if (!expression) {
    yield text;
    return;
  }
  for (const piece of cut(text, expression)) yield* splitWords(piece, patterns, first + 1);
}

/** The matches of an expression and what lies between them. */
function* cut(text: string, expression: RegExp): Generator<string, void, void> {
  for (let start = 0; start < text.length;) {
    // The expression is shared with texts that are cut at the same time.
    expression.lastIndex = start;
    const match = expression.exec(text);
    const matchStart = match?.index ?? text.length;
    if (matchStart > start) yield text.slice(start, matchStart);
    if (match) yield match[0];
    start = matchStart + (match?.[0].length ?? 0);
  }
}

function pattern(...alternatives: readonly string[]): RegExp {
  return new RegExp(alternatives.join('|'), 'gu');
}
