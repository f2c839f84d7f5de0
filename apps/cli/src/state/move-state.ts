import { open, readFile } from 'node:fs/promises';
import { ConfigError, loadHubConfig } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';
import { openConfiguredState, type StateRepository } from '@pangalactic/state';
import { CommandError } from '../command-error';
import { backupLines, parseBackup } from './backup-lines';

const PROGRESS_INTERVAL_MS = 1_000;

/** Writes the state that the HUB_* variables name to a file that is not there yet, or to standard output. */
export function exportState(path: string | undefined): Promise<void> {
  return withState(async (repository) => {
    const { entries } = await repository.list('');
    // After the entries: it must not be lower than that of any of them.
    const { clusterId, term } = await repository.currentTerm();
    const report = progress('exported', entries.length);
    const file = path === undefined ? undefined : await open(path, 'wx').catch(explain(path));
    try {
      let written = 0;
      for (const line of backupLines({ clusterId, term, entries })) {
        if (file) await file.write(`${line}\n`);
        else await writeOut(`${line}\n`);
        report(Math.min(written++, entries.length));
      }
      await file?.sync();
    } finally {
      await file?.close();
    }
    say(`exported ${entries.length} entries of cluster ${clusterId}, term ${term}`);
  });
}

/** Fills the empty state that the HUB_* variables name. */
export async function importState(path: string): Promise<void> {
  const backup = parseBackup(await readFile(path, 'utf8').catch(explain(path)));
  await withState(async (repository) => {
    await repository.restore(backup, progress('imported', backup.entries.length));
    const { clusterId, term } = await repository.currentTerm();
    say(`imported ${backup.entries.length} entries of cluster ${clusterId}, now at term ${term}`);
  });
}

async function withState(use: (repository: StateRepository) => Promise<void>): Promise<void> {
  try {
    const repository = await openConfiguredState(loadHubConfig());
    await use(repository).finally(() => repository.close());
  } catch (error) {
    if (error instanceof ConfigError || error instanceof PangalacticError) throw new CommandError(error.message);
    throw error;
  }
}

function progress(verb: string, total: number): (entries: number) => void {
  let saidAt = performance.now();
  return (entries) => {
    if (performance.now() - saidAt < PROGRESS_INTERVAL_MS) return;
    saidAt = performance.now();
    say(`${verb} ${entries} of ${total} entries`);
  };
}

/** Not on standard output, which may be the export. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function explain(path: string) {
  return ({ code, message }: NodeJS.ErrnoException): never => {
    throw new CommandError(code === 'EEXIST' ? `${path} exists: choose another file` : message);
  };
}
