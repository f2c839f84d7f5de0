import { readdirSync, readFileSync } from 'node:fs';
import { VARIABLE_TABLE } from '@pangalactic/config';
import { ERROR_CATALOGUE } from '@pangalactic/contracts';
import { METRIC_CATALOGUE } from '@pangalactic/observability';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../apps/cli/src/program';
import { anchorsOf, metricsIn, readRepositoryFile, repositoryPath } from './monitoring-files';

const METRICS = new Set(METRIC_CATALOGUE.map(({ name }) => name));
/** `shard_` and a state. */
const COMPOSED_EVENTS = ['shard_broken'];

/** Every string that the sources contain in quotes: events among them. */
function quotedInSources(): Set<string> {
  const files = ['apps', 'libs'].flatMap((folder) =>
    readdirSync(repositoryPath(folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .map((file) => repositoryPath(`${folder}/${file}`)),
  );
  return new Set(files.flatMap((file) => readFileSync(file, 'utf8').match(/(?<=')\w+(?=')/g) ?? []));
}

const PAGES = ['docs/troubleshooting.md', 'docs/operations.md'];

describe.each(PAGES)('%s', (path) => {
  const page = readRepositoryFile(path);
  const code = [...page.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);

  it('names metrics that there are', () => {
    expect(code.flatMap(metricsIn).filter((name) => !METRICS.has(name))).toEqual([]);
  });

  it('names variables that there are', () => {
    const known = new Set(VARIABLE_TABLE.map(({ variable }) => variable));
    const named = page.match(/\b(?:HUB|NODE|GATEWAY|PANGALACTIC)_[A-Z_]+\b/g) ?? [];
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it('names events and error codes that there are', () => {
    const quoted = quotedInSources();
    const words = code.filter((word) => /^[a-z]+(_[a-z]+)+$/.test(word) && !METRICS.has(word));
    const unknown = words.filter(
      (word) => !quoted.has(word) && !Object.hasOwn(ERROR_CATALOGUE, word) && !COMPOSED_EVENTS.includes(word),
    );
    expect(unknown.filter((word) => !/^(process|nodejs)_/.test(word))).toEqual([]);
  });

  it('names commands that there are', () => {
    const commands = page.match(/(?<=pangalactic )[a-z]+( [a-z]+)?(?=[ `\n])/g) ?? [];
    for (const command of commands) {
      const [group, name] = command.split(' ');
      const found = createProgram().commands.find((each) => each.name() === group);
      expect(found?.name(), command).toBe(group);
      if (name) expect(found?.commands.map((each) => each.name())).toContain(name);
    }
  });

  it('links to sections and pages that there are', () => {
    for (const [, file, anchor] of page.matchAll(/\]\(([\w./-]*)(?:#([\w-]+))?\)/g)) {
      const target = file ? `docs/${file}` : path;
      const text = readRepositoryFile(target);
      if (anchor) expect(anchorsOf(text), `${file}#${anchor}`).toContain(anchor);
    }
  });
});
