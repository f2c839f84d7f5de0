import type { TokenLogprobs } from '@pangalactic/contracts';
import { StreamDetokenizer } from '@pangalactic/tokenizer';
import type { ModelTokenizer } from '@pangalactic/tokenizer';
import type { CompletionPiece } from './generation-event';
import { ScoredTokens } from './scored-tokens';
import { StopMatcher } from './stop-matcher';
import type { MatchedText } from './stop-matcher';

export interface MatchedPiece extends CompletionPiece {
  /** A stop string was found: nothing follows. */
  readonly stopped: boolean;
}

/** Turns completion tokens into the text that a client may see: whole characters only, up to the first stop string. */
export class CompletionText {
  private readonly detokenizer: StreamDetokenizer;
  private readonly matcher: StopMatcher;
  private readonly scores: ScoredTokens;

  constructor(tokenizer: ModelTokenizer, stops: readonly string[]) {
    this.detokenizer = new StreamDetokenizer(tokenizer);
    this.matcher = new StopMatcher(stops);
    this.scores = new ScoredTokens(tokenizer);
  }

  push(id: number, logprobs: TokenLogprobs | undefined): MatchedPiece {
    const decoded = this.detokenizer.push(id);
    if (logprobs) this.scores.push(id, logprobs, decoded);
    return this.show(this.matcher.push(decoded));
  }

  /** What was held back, once no token follows. */
  finish(): MatchedPiece {
    const rest = this.matcher.push(this.detokenizer.flush());
    return this.show(rest.stopped ? rest : { text: rest.text + this.matcher.flush(), stopped: false });
  }

  private show(matched: MatchedText): MatchedPiece {
    return { ...matched, tokens: this.scores.show(matched.text) };
  }
}
