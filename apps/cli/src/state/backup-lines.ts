import type { StateBackup } from '@pangalactic/state';
import { z } from 'zod';
import { CommandError } from '../command-error';

const FORMAT = 'pangalactic-state';
const VERSION = 1;

const header = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  clusterId: z.uuid(),
  term: z.number().int().nonnegative(),
});
const entry = z.object({ key: z.string(), value: z.string() });
const end = z.object({ entries: z.number() });

/** JSON lines: what cluster it is, an entry per line, and how many there were, so that nothing cut off passes. */
export function* backupLines({ clusterId, term, entries }: StateBackup): Generator<string> {
  yield JSON.stringify({ format: FORMAT, version: VERSION, clusterId, term });
  for (const { key, value } of entries) yield JSON.stringify({ key, value });
  yield JSON.stringify({ entries: entries.length });
}

/** @throws CommandError that names the line */
export function parseBackup(text: string): StateBackup {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const read = <T>(schema: z.ZodType<T>, index: number, what: string): T => {
    const result = schema.safeParse(json(lines[index]));
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    throw new CommandError(`line ${index + 1} is not ${what}: ${[...(issue?.path ?? []), issue?.message].join(': ')}`);
  };
  const { clusterId, term } = read(header, 0, `the beginning of a ${FORMAT} export of version ${VERSION}`);
  const last = lines.length - 1;
  const { entries: count } = read(end, last, 'the end of an export (was it cut off?)');
  const entries = lines.slice(1, last).map((_, index) => read(entry, index + 1, 'an entry'));
  if (entries.length !== count) throw new CommandError(`${entries.length} entries, but the last line says ${count}`);
  return { clusterId, term, entries };
}

function json(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? '');
  } catch {
    return undefined;
  }
}
