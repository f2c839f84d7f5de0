import type { GgufHeader, GgufValue } from '@pangalactic/models';
import { spellBytes } from './byte-level-bpe/byte-alphabet';
import { runToEnd } from './steps';
import { TokenKind, Vocabulary } from './vocabulary';

type Piece = readonly [text: string, kind?: TokenKind, score?: number];

/** A GGUF header with nothing but a vocabulary: `<unk>`, `<s>`, `</s>`, the given pieces, then 256 bytes if wanted. */
export function vocabularyHeader(
  pieces: readonly Piece[],
  { metadata = {}, bytes = true }: { metadata?: Record<string, GgufValue>; bytes?: boolean } = {},
): GgufHeader {
  const all: Piece[] = [
    ['<unk>', TokenKind.Unknown],
    ['<s>', TokenKind.Control],
    ['</s>', TokenKind.Control],
    ...pieces,
    ...(bytes ? Array.from({ length: 256 }, (_, byte): Piece => [byteText(byte), TokenKind.Byte]) : []),
  ];
  const entries: Record<string, GgufValue> = {
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': all.map(([text]) => text),
    'tokenizer.ggml.token_type': all.map(([, kind]) => kind ?? TokenKind.Normal),
    'tokenizer.ggml.scores': all.map(([, , score], id) => score ?? -id),
    'tokenizer.ggml.add_space_prefix': false,
    'tokenizer.ggml.add_bos_token': false,
    ...metadata,
  };
  return headerOf(entries);
}

/**
 * A header with a byte-level vocabulary: the 256 bytes, what the merges make, the special tokens (control where no kind is
 * given), then other words.
 *
 * @param merges pairs of spellings, as in the file
 */
export function byteLevelHeader(
  merges: readonly string[],
  {
    special = [['<s>'], ['</s>']],
    words = [],
    metadata = {},
  }: { special?: readonly Piece[]; words?: readonly string[]; metadata?: Record<string, GgufValue> } = {},
): GgufHeader {
  const bytes = Array.from({ length: 256 }, (_, byte) => spellBytes(Buffer.of(byte)));
  const made = merges.map((merge) => merge.replace(' ', ''));
  const plain = [...new Set([...bytes, ...made, ...words])];
  return headerOf({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': [...plain, ...special.map(([text]) => text)],
    'tokenizer.ggml.token_type': [
      ...plain.map(() => TokenKind.Normal),
      ...special.map(([, kind]) => kind ?? TokenKind.Control),
    ],
    'tokenizer.ggml.merges': merges,
    ...metadata,
  });
}

function headerOf(entries: Record<string, GgufValue>): GgufHeader {
  return {
    version: 3,
    metadata: new Map(Object.entries(entries)),
    tensors: new Map(),
    tableOffset: 0,
    dataOffset: 0,
    alignment: 32,
  };
}

function byteText(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

export function readVocabulary(header: GgufHeader): Vocabulary {
  return runToEnd(Vocabulary.read(header));
}
