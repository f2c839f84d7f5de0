/**
 * Puts a GPU made of software (SwiftShader, Vulkan on the CPU, out of Debian's chromium) beside the tests that compute on a
 * GPU, unless it is there already. Prints one line.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FILES = ['libvk_swiftshader.so', 'vk_swiftshader_icd.json'];
const PACKAGE = 'chromium-common';
const target = join(dirname(fileURLToPath(import.meta.url)), 'swiftshader');

if (FILES.every((file) => existsSync(join(target, file)))) {
  console.log('gpu: SwiftShader is ready');
} else {
  const failure = install();
  if (failure && process.env.CI) process.exitCode = 1;
  console.log(failure ? `gpu: SwiftShader is not installed: ${failure}` : 'gpu: SwiftShader is installed');
}

/** @returns what went wrong */
function install() {
  const folder = mkdtempSync(join(tmpdir(), 'pangalactic-swiftshader-'));
  try {
    run('apt-get', ['download', PACKAGE], folder);
    const [archive] = readdirSync(folder);
    run('dpkg-deb', ['--extract', archive, 'extracted'], folder);
    mkdirSync(target, { recursive: true });
    for (const file of FILES) copyFileSync(join(folder, 'extracted/usr/lib/chromium', file), join(target, file));
    return undefined;
  } catch (error) {
    return error.message.replaceAll(/\s+/g, ' ').slice(0, 500);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(program, args, cwd) {
  const { status, error, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`);
}
