import type { RankedToken, TokenLogprobs } from '@pangalactic/contracts';
import type { ModelTokenizer } from '@pangalactic/tokenizer';

export interface TokenLikelihood {
  readonly text: string;
  /** Null for a token that is no text. */
  readonly bytes: readonly number[] | null;
  readonly logprob: number;
}

/** A token of a completion with its log probability and those of the most likely tokens at its place. */
export interface ScoredToken extends TokenLikelihood {
  /** Characters (code points) of the completion before it. */
  readonly offset: number;
  readonly top: readonly TokenLikelihood[];
}

interface PendingToken {
  readonly token: ScoredToken;
  /** Length of the completion's text, in UTF-16 units, with which the token's own text is complete. */
  readonly end: number;
}

/**
 * Holds back the scores of tokens until their text has been shown, so that they tell nothing of a stop string, or of what
 * may yet become one. A token of which any part is cut off is never shown.
 */
export class ScoredTokens {
  private readonly pending: PendingToken[] = [];
  private decodedCharacters = 0;
  private decodedLength = 0;
  private shownLength = 0;

  constructor(private readonly tokenizer: ModelTokenizer) {}

  /** @param decoded the text that became certain with this token */
  push(id: number, { logprob, top }: TokenLogprobs, decoded: string): void {
    const likelihood = this.likelihood({ id, logprob });
    const offset = this.decodedCharacters;
    for (const _character of decoded) this.decodedCharacters += 1;
    this.decodedLength += decoded.length;
    // Bytes without text begin a character that a later token completes.
    const isPartial = decoded === '' && likelihood.bytes !== null;
    const token = { ...likelihood, offset, top: top.map((ranked) => this.likelihood(ranked)) };
    this.pending.push({ token, end: this.decodedLength + (isPartial ? 1 : 0) });
  }

  /** @returns the tokens that are complete with this much more text */
  show(text: string): ScoredToken[] {
    this.shownLength += text.length;
    const hidden = this.pending.findIndex(({ end }) => end > this.shownLength);
    return this.pending.splice(0, hidden === -1 ? this.pending.length : hidden).map(({ token }) => token);
  }

  private likelihood({ id, logprob }: RankedToken): TokenLikelihood {
    const bytes = this.tokenizer.tokenBytes(id);
    return { text: this.tokenizer.tokenText(id), bytes: bytes.length > 0 ? [...bytes] : null, logprob };
  }
}
