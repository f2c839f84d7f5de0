import { bool, float32s, type GgufMetadata, int32s, text, texts, uint32 } from './metadata';

enum TokenType {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  Byte = 6,
}

const CONTROL_TOKENS = ['<unk>', '<s>', '</s>'];
const BYTES = 256;
/** Of the token that ends a generation. */
export const EOS_ID = 2;
export const MIN_VOCABULARY_SIZE = CONTROL_TOKENS.length + BYTES + 1;

const WORD_START = '▁';
const LETTERS = [...'etaoinshrdlcumwfgypbvkjxqz'];
const CHAT_TEMPLATE =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/** A SentencePiece vocabulary with byte fallback, so that any text has ids, and as many pieces as asked for. */
export function vocabularyMetadata(size: number): GgufMetadata {
  if (size < MIN_VOCABULARY_SIZE) throw new RangeError(`vocabulary of ${size}: allowed: from ${MIN_VOCABULARY_SIZE}`);
  const specials = [...CONTROL_TOKENS, ...Array.from({ length: BYTES }, (_, byte) => byteToken(byte))];
  const tokens = [...specials, ...pieces(size - specials.length)];
  return {
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.pre': text('default'),
    'tokenizer.ggml.tokens': texts(tokens),
    // The earlier a piece, the sooner it is merged.
    'tokenizer.ggml.scores': float32s(tokens.map((_, id) => Math.min(0, specials.length - id))),
    'tokenizer.ggml.token_type': int32s(tokens.map((_, id) => tokenType(id))),
    'tokenizer.ggml.bos_token_id': uint32(1),
    'tokenizer.ggml.eos_token_id': uint32(EOS_ID),
    'tokenizer.ggml.unknown_token_id': uint32(0),
    'tokenizer.ggml.add_bos_token': bool(true),
    'tokenizer.ggml.add_eos_token': bool(false),
    'tokenizer.chat_template': text(CHAT_TEMPLATE),
  };
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

function tokenType(id: number): TokenType {
  if (id === 0) return TokenType.Unknown;
  if (id < CONTROL_TOKENS.length) return TokenType.Control;
  return id < CONTROL_TOKENS.length + BYTES ? TokenType.Byte : TokenType.Normal;
}

/** Single characters, then all pairs of a start and a letter, all triples and so on: every piece is a merge of two earlier ones. */
function pieces(count: number): string[] {
  const printable = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i));
  const found = [WORD_START, ...LETTERS, ...printable.filter((character) => !LETTERS.includes(character))];
  let longest = [WORD_START, ...LETTERS];
  while (found.length < count) {
    longest = longest.flatMap((start) => LETTERS.map((letter) => start + letter)).slice(0, count - found.length);
    found.push(...longest);
  }
  return found.slice(0, count);
}
