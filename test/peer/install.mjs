/**
 * Installs llama.cpp (node-llama-cpp with its CPU binary for Linux, 85 MB) beside the tests that compare with it, unless it
 * is there already. Prints one line.
 */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const directory = dirname(fileURLToPath(import.meta.url));
const platform = `${process.platform}-${process.arch}`;

if (platform !== 'linux-x64') {
  console.log(`peer: llama.cpp is not installed on ${platform}: recorded goldens serve instead`);
} else if (loads() === undefined) {
  console.log('peer: llama.cpp is ready');
} else {
  // .npmrc leaves out the optional GPU builds (640 MB) and the postinstall script, which would download and compile. Not
  // `npm ci`: it refuses a lock file that lacks optional packages of other platforms, which not every registry has.
  const npm = spawnSync('npm', ['install', '--no-save', '--loglevel=error'], { cwd: directory, encoding: 'utf8' });
  const failure = npm.status === 0 ? loads() : (npm.error?.message ?? npm.stderr.trim());
  console.log(
    failure === undefined ? 'peer: llama.cpp is installed' : `peer: llama.cpp cannot be used: ${oneLine(failure)}`,
  );
  process.exitCode = failure === undefined ? 0 : 1;
}

/** Starts the peer without a request. Undefined when it starts and ends well, else what it says. */
function loads() {
  const peer = spawnSync(process.execPath, ['peer.mjs'], {
    cwd: directory,
    input: '',
    encoding: 'utf8',
    timeout: 60_000,
  });
  return peer.status === 0 ? undefined : (peer.error?.message ?? peer.stderr.trim());
}

function oneLine(text) {
  return text.replaceAll(/\s+/g, ' ').slice(0, 500);
}
