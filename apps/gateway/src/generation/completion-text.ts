import { StreamDetokenizer } from '@pangalactic/tokenizer';
import type { ModelTokenizer } from '@pangalactic/tokenizer';
import { StopMatcher } from './stop-matcher';
import type { MatchedText } from './stop-matcher';

/** Turns completion tokens into the text that a client may see: whole characters only, up to the first stop string. */
export class CompletionText {
  private readonly detokenizer: StreamDetokenizer;
  private readonly matcher: StopMatcher;

  constructor(tokenizer: ModelTokenizer, stops: readonly string[]) {
    this.detokenizer = new StreamDetokenizer(tokenizer);
    this.matcher = new StopMatcher(stops);
  }

  push(id: number): MatchedText {
    return this.matcher.push(this.detokenizer.push(id));
  }

  /** What was held back, once no token follows. */
  finish(): MatchedText {
    const rest = this.matcher.push(this.detokenizer.flush());
    return rest.stopped ? rest : { text: rest.text + this.matcher.flush(), stopped: false };
  }
}
