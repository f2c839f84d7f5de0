/** One command of a page, as its words. */
export interface ShellCommand {
  readonly text: string;
  readonly words: readonly string[];
}

/** The commands of all `sh` blocks of a Markdown page, in order. */
export function commandsOfPage(markdown: string): ShellCommand[] {
  return [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block]) => commandsOf(block!));
}

/** Lines that end in a backslash go on; comments are left out. */
export function commandsOf(script: string): ShellCommand[] {
  const lines = script
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((text) => ({ text, words: wordsOf(text) }));
}

/** Splits at spaces outside quotes; quotes go, also those inside `$( )` inside a word. Pipes and redirections end it. */
function wordsOf(line: string): string[] {
  const [command = ''] = line.split(/ [|>] /);
  const words = command.match(/(?:"(?:\\.|[^"])*"|'[^']*'|[^\s"'])+/g) ?? [];
  return words.map((word) =>
    word.replace(/"((?:\\.|[^"])*)"|'([^']*)'/g, (_, double, single) => String(double ?? single)),
  );
}

/** Options with their values, and what is left; `switches` take no value. After `--` everything is left as it is. */
export function parseOptions(words: readonly string[], switches: ReadonlySet<string> = new Set()) {
  const options = new Map<string, string[]>();
  const rest: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === '--') {
      rest.push(...words.slice(index));
      break;
    }
    if (!word.startsWith('-')) {
      rest.push(word);
      continue;
    }
    const [, name = word, inline] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
    const value = inline ?? (switches.has(name) ? '' : words[++index]);
    options.set(name, [...(options.get(name) ?? []), value ?? '']);
  }
  return { options, rest };
}
