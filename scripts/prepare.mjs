// `npm ci` builds dist/ so that `npx pangalactic` works in a clone. Without development dependencies there is nothing to build with.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

// npx installs the clone as a package of its own and prepares it again: that would rebuild dist/ under running processes.
if (process.env.npm_command === 'exec') process.exit(0);

const require = createRequire(import.meta.url);
let nest;
try {
  nest = require.resolve('@nestjs/cli/bin/nest.js');
} catch {
  process.exit(0);
}
process.exit(spawnSync(process.execPath, [nest, 'build', 'hub'], { stdio: 'inherit' }).status ?? 1);
