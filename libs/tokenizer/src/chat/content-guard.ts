import { PangalacticError } from '@pangalactic/contracts';
import type { Steps } from '../steps';

/** Unicode's first private-use area: characters that no standard gives a meaning, each one UTF-16 unit. */
const PRIVATE_USE = { first: 0xe000, last: 0xf8ff };
const PRIVATE_USE_CHARACTER = /[\ue000-\uf8ff]/g;

/**
 * Hides control-token texts in what users write, so that a chat template can paste it between its own markers and only the
 * template's markers read as control tokens. Characters are replaced by stand-ins one for one: a template can still trim,
 * cut, measure and compare the text.
 */
export class ContentGuard {
  private readonly standIns: ReadonlyMap<string, string>;
  private readonly originals: ReadonlyMap<string, string>;

  /** @param contents everything that will be hidden: a stand-in must not occur in it */
  constructor(
    private readonly controlTexts: readonly string[],
    contents: readonly string[],
  ) {
    const edges = new Set(controlTexts.flatMap((text) => edgesOf([...text])));
    const taken = new Set([...edges, ...contents].flatMap((text) => text.match(PRIVATE_USE_CHARACTER) ?? []));
    this.standIns = chooseStandIns(edges, taken);
    this.originals = new Map([...this.standIns].map(([original, standIn]) => [standIn, original]));
  }

  /** Hides the first character of each control text that the content has as a whole: the least that can be changed. */
  *hideControls(content: string): Steps<string> {
    let hidden = content;
    for (const text of this.controlTexts) {
      const first = [...text][0]!;
      hidden = hidden.replaceAll(text, () => this.standIns.get(first)! + text.slice(first.length));
      yield;
    }
    return hidden;
  }

  /** Hides every character that begins or ends any control text: none can begin or end in the content then. */
  hideEdges(content: string): string {
    return replaceCharacters(content, this.standIns);
  }

  reveal(text: string): string {
    return replaceCharacters(text, this.originals);
  }
}

function replaceCharacters(text: string, replacements: ReadonlyMap<string, string>): string {
  let replaced = text;
  for (const [from, to] of replacements) replaced = replaced.replaceAll(from, to);
  return replaced;
}

function edgesOf(characters: readonly string[]): string[] {
  return [...characters.slice(0, 1), ...characters.slice(-1)];
}

function chooseStandIns(characters: Iterable<string>, taken: ReadonlySet<string>): Map<string, string> {
  const chosen = new Map<string, string>();
  let candidate = PRIVATE_USE.first;
  for (const character of characters) {
    while (taken.has(String.fromCharCode(candidate))) candidate++;
    if (candidate > PRIVATE_USE.last) {
      throw new PangalacticError('invalid_request', 'the messages use all private-use characters of Unicode', {
        param: 'messages',
      });
    }
    chosen.set(character, String.fromCharCode(candidate++));
  }
  return chosen;
}
