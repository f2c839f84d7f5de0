export interface MatchedText {
  /** Text that may be shown: it is certain that no stop string begins in it. */
  readonly text: string;
  /** A stop string was found; nothing from its first character on will ever be returned. */
  readonly stopped: boolean;
}

/**
 * Finds stop strings in a stream of text, however the text is cut into pieces. Text that may turn out to be the
 * beginning of a stop string is held back. One Knuth-Morris-Pratt automaton per stop string: linear in the text.
 */
export class StopMatcher {
  private readonly patterns: Pattern[];
  private held = '';

  constructor(stops: readonly string[]) {
    this.patterns = stops.map((stop) => new Pattern(stop));
  }

  push(piece: string): MatchedText {
    if (this.patterns.length === 0) return { text: piece, stopped: false };
    const text = this.held + piece;
    for (let end = this.held.length; end < text.length; end += 1) {
      const matched = this.longestMatchEndingWith(text.charCodeAt(end));
      if (matched > 0) {
        this.held = '';
        return { text: text.slice(0, end + 1 - matched), stopped: true };
      }
    }
    const safe = text.length - Math.max(...this.patterns.map((pattern) => pattern.partial));
    this.held = text.slice(safe);
    return { text: text.slice(0, safe), stopped: false };
  }

  /** The text held back; call it when the stream has ended without a stop string. */
  flush(): string {
    const text = this.held;
    this.held = '';
    return text;
  }

  private longestMatchEndingWith(unit: number): number {
    let longest = 0;
    for (const pattern of this.patterns) if (pattern.advance(unit)) longest = Math.max(longest, pattern.length);
    return longest;
  }
}

class Pattern {
  /** Characters at the end of the text that are the beginning of this pattern. */
  partial = 0;
  /** For each prefix of the pattern, the length of its longest proper suffix that is a prefix too. */
  private readonly fallback: number[];

  constructor(private readonly pattern: string) {
    this.fallback = [0];
    for (let index = 1, length = 0; index < pattern.length; index += 1) {
      length = this.extend(length, pattern.charCodeAt(index));
      this.fallback.push(length);
    }
  }

  get length(): number {
    return this.pattern.length;
  }

  /** @returns whether the pattern ends with this UTF-16 unit */
  advance(unit: number): boolean {
    this.partial = this.extend(this.partial, unit);
    return this.partial === this.pattern.length;
  }

  private extend(length: number, unit: number): number {
    while (length > 0 && this.pattern.charCodeAt(length) !== unit) length = this.fallback[length - 1] ?? 0;
    return this.pattern.charCodeAt(length) === unit ? length + 1 : length;
  }
}
