import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './proto-path';

export function packageVersion(): string {
  const manifest = readFileSync(join(repositoryRoot(), 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
