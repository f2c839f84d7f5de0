import type { GgufHeader } from '@pangalactic/models';
import type { Steps } from '../steps';
import type { TextCodec } from '../text-codec';
import { TokenKind, type Vocabulary } from '../vocabulary';
import { encodeSentencePiece } from './sentencepiece-encoder';
import { SentencePieceVocabulary } from './sentencepiece-vocabulary';

/** What SentencePiece writes for a space. */
const ESCAPED_SPACE = '▁';

/** `tokenizer.ggml.model` = `llama`. */
export class SentencePieceCodec implements TextCodec {
  readonly addsSpace: boolean;
  private readonly pieces: SentencePieceVocabulary;

  /** @throws PangalacticError `corrupt_model_file` */
  constructor(
    header: GgufHeader,
    private readonly vocabulary: Vocabulary,
  ) {
    this.pieces = new SentencePieceVocabulary(header, vocabulary);
    this.addsSpace = this.pieces.addSpacePrefix;
  }

  encode(text: string, startsText: boolean): Steps<number[]> {
    const prefix = startsText && this.addsSpace ? ' ' : '';
    return encodeSentencePiece(`${prefix}${text}`.replaceAll(' ', ESCAPED_SPACE), this.pieces);
  }

  bytes(id: number): Uint8Array {
    if (this.vocabulary.kind(id) === TokenKind.Byte) return Uint8Array.of(this.pieces.byte(id));
    return Buffer.from(this.vocabulary.text(id).replaceAll(ESCAPED_SPACE, ' '), 'utf8');
  }
}
