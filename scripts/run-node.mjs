import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a script with this Node in the repository's root; a failure is the caller's failure. */
export function runNode(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

export function build() {
  runNode(createRequire(import.meta.url).resolve('@nestjs/cli/bin/nest.js'), 'build', 'hub');
}
