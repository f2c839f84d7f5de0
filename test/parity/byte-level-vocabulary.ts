import { bool, float32, type GgufMetadata, int32s, seededRandom, text, texts, uint32 } from '@pangalactic/testing';

const [NORMAL, CONTROL, USER_DEFINED] = [1, 3, 4];
const CONTROL_TOKENS = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<s>', '</s>', '<unk>'];
const USER_DEFINED_TOKENS = ['<think>', '<|im_', '[INST]', '  ', '🚀'];
/** Tokens that no merges lead to: only vocabularies that ignore merges find them. */
const UNREACHABLE_WORDS = ['Hello', ' little', '日本語', '123', "'RE", ' there', '!!!', '\n\n\n'];
/** All of these merge with each other, so that it shows where a text was cut. */
const NEIGHBOURS = [..." \n\r\t'sStTrReEvVlLdDmMaA12!/$^|", '\u0085', '\ufeff', '\u2028', 'é', '漢', '١'];

/** What the merges are learnt from: all that the fuzz texts have, often enough. */
const LESSON = [
  "Once upon a time, there was a little girl. I'm here; you're there, we've left, they'll see, he'd say: it's Tom's.",
  "I'M HERE; YOU'RE THERE, WE'VE LEFT, THEY'LL SEE, HE'D SAY: IT'S TOM'S. PanGalactic, PanGalactic. Hello there, hello.",
  'For 1234567890 and 3.14, for 1, 22, 333 and 4444: x = (a + b) * [c]; // xxxxxxx    four\n\n\ttab\r\n  two\u00a0one\u3000wide',
  'Die Straße, é, e\u0301, İ; мир и мир; مرحبا; 한국어 한국어; 日本語と漢字、かな。日本語；漢字！ 🚀🚀 👍🏽👍🏽 👨‍👩‍👧 🇩🇪 ١٢٣ ½² 𝔘𝔫𝔦 $+<=>^~|`',
];

const { merges, pieces } = learnMerges();

/**
 * A small vocabulary of byte-level BPE with merges as a model has them, merges of whatever may be neighbours, and special
 * tokens that contain each other.
 *
 * @param preTokenizer value of `tokenizer.ggml.pre`
 */
export function byteLevelVocabulary(preTokenizer: string): GgufMetadata {
  const words = UNREACHABLE_WORDS.map((word) => spell(word).join('')).filter((word) => !pieces.includes(word));
  const special = [...CONTROL_TOKENS, ...USER_DEFINED_TOKENS];
  const tokens = [...pieces, ...words, ...special];
  const types = tokens.map((token) => {
    if (CONTROL_TOKENS.includes(token)) return CONTROL;
    return USER_DEFINED_TOKENS.includes(token) ? USER_DEFINED : NORMAL;
  });
  return {
    'general.architecture': text('llama'),
    'llama.context_length': uint32(64),
    'llama.embedding_length': uint32(32),
    'llama.block_count': uint32(1),
    'llama.feed_forward_length': uint32(32),
    'llama.attention.head_count': uint32(1),
    'llama.attention.layer_norm_rms_epsilon': float32(1e-5),
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text(preTokenizer),
    'tokenizer.ggml.tokens': texts(tokens),
    'tokenizer.ggml.token_type': int32s(types),
    'tokenizer.ggml.merges': texts(merges.map(([left, right]) => `${left} ${right}`)),
    'tokenizer.ggml.bos_token_id': uint32(tokens.indexOf('<s>')),
    'tokenizer.ggml.eos_token_id': uint32(tokens.indexOf('</s>')),
    'tokenizer.ggml.add_eos_token': bool(true),
  };
}

function learnMerges() {
  const pairs: (readonly [string, string])[] = [];
  const known = new Set(Array.from({ length: 256 }, (_, byte) => spellByte(byte)));
  const add = (left: string, right: string) => {
    pairs.push([left, right]);
    known.add(left + right);
  };

  let words = (LESSON.join('\n').match(/\s*\S{1,12}/gu) ?? []).map(spell);
  for (let pair = mostFrequentPair(words); pair; pair = mostFrequentPair(words)) {
    const [left, right] = pair;
    add(left, right);
    words = words.map((word) => mergePair(word, left, right));
  }
  for (const symbols of NEIGHBOURS.map(spell)) {
    for (let end = 1; end < symbols.length; end++) add(symbols.slice(0, end).join(''), symbols[end]!);
  }
  const random = seededRandom(20_261_126);
  const neighbours = NEIGHBOURS.map((text) => spell(text).join(''));
  const all = neighbours.flatMap((left) => neighbours.map((right) => ({ left, right, order: random() })));
  for (const { left, right } of all.sort((a, b) => a.order - b.order)) add(left, right);
  return { merges: pairs, pieces: [...known] };
}

/** Undefined once no pair occurs twice. */
function mostFrequentPair(words: readonly (readonly string[])[]): readonly [string, string] | undefined {
  const counts = new Map<string, number>();
  let best: { readonly pair: readonly [string, string]; readonly count: number } | undefined;
  for (const word of words) {
    for (let index = 1; index < word.length; index++) {
      const pair = [word[index - 1]!, word[index]!] as const;
      const count = (counts.get(pair.join(' ')) ?? 0) + 1;
      counts.set(pair.join(' '), count);
      if (count > (best?.count ?? 1)) best = { pair, count };
    }
  }
  return best?.pair;
}

function mergePair(word: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (const symbol of word) {
    if (symbol === right && merged.at(-1) === left) merged[merged.length - 1] = left + right;
    else merged.push(symbol);
  }
  return merged;
}

/** One visible character for each byte of the text, as GPT-2 has them. */
function spell(word: string): string[] {
  return Array.from(Buffer.from(word, 'utf8'), spellByte);
}

function spellByte(byte: number): string {
  if (byte <= 0x20) return String.fromCharCode(0x100 + byte);
  if (byte >= 0x7f && byte <= 0xa0) return String.fromCharCode(0x121 + byte - 0x7f);
  return String.fromCharCode(byte === 0xad ? 0x143 : byte);
}
