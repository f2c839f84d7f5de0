import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { CommandError } from './command-error';

/** Runs a built app in this process. It is found by path, because no app may import another. */
export async function startApp(app: 'hub' | 'node' | 'gateway'): Promise<void> {
  const entry = join(repositoryRoot(), 'dist', 'apps', app, 'src', 'main.js');
  if (!existsSync(entry)) throw new CommandError(`${entry} is missing: run \`npm run build\` first`);
  await import(entry);
}
