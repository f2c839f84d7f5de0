import type { GgufHeader, GgufValue } from '@pangalactic/models';
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
