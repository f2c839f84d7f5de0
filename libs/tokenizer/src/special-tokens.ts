import type { Steps } from './steps';
import { TokenKind, type Vocabulary } from './vocabulary';

/** Either plain text or the id of a special token. */
export type Fragment = string | number;

interface SpecialToken {
  readonly id: number;
  readonly kind: TokenKind;
  readonly text: string;
}

const SPECIAL_KINDS: readonly TokenKind[] = [TokenKind.Control, TokenKind.Unknown, TokenKind.UserDefined];

/** Finds the tokens that are cut out of a text before anything else is tokenised. */
export class SpecialTokens {
  /** Control and unknown tokens: what a template may write and a user may not. */
  readonly controls: readonly SpecialToken[];
  private readonly userDefined: readonly SpecialToken[];
  private readonly all: readonly SpecialToken[];

  constructor(vocabulary: Vocabulary) {
    const special: SpecialToken[] = [];
    for (let id = 0; id < vocabulary.size; id++) {
      const kind = vocabulary.kind(id);
      if (SPECIAL_KINDS.includes(kind)) special.push({ id, kind, text: vocabulary.text(id) });
    }
    // One token's text may be part of another's: the longer one counts, measured in bytes as llama.cpp does.
    this.all = special.sort((a, b) => Buffer.byteLength(b.text) - Buffer.byteLength(a.text));
    this.controls = this.all.filter(({ kind }) => kind !== TokenKind.UserDefined);
    this.userDefined = this.all.filter(({ kind }) => kind === TokenKind.UserDefined);
  }

  /** @param parseSpecial whether control tokens count, or only user-defined ones, which are text */
  *split(text: string, parseSpecial: boolean): Steps<Fragment[]> {
    let fragments: Fragment[] = text === '' ? [] : [text];
    for (const token of parseSpecial ? this.all : this.userDefined) {
      if (text.includes(token.text)) fragments = fragments.flatMap((fragment) => cutOut(token, fragment));
      yield;
    }
    return fragments;
  }
}

function cutOut(token: SpecialToken, fragment: Fragment): Fragment[] {
  if (typeof fragment === 'number') return [fragment];
  return fragment
    .split(token.text)
    .flatMap((part, index): Fragment[] => (index === 0 ? [part] : [token.id, part]))
    .filter((part) => part !== '');
}
