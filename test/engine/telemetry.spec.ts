import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { expect, it } from 'vitest';

const inference = join(repositoryRoot(), 'dist/libs/inference/src');

/** Opens a session in a process of its own and lists what that leaves in the home folder. */
function filesLeftBy(script: string): string[] {
  const home = mkdtempSync(join(tmpdir(), 'pangalactic-home-'));
  const environment = { PATH: process.env.PATH, HOME: home };
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], { env: environment, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const files = readdirSync(home, { recursive: true }).map(String);
  rmSync(home, { recursive: true, force: true });
  return files;
}

it('keeps onnxruntime from collecting telemetry', () => {
  const create = `TransformersProvider.create({ threads: 1, cacheDir: '.' })`;
  const script = `const { TransformersProvider } = require(${JSON.stringify(inference)}); void ${create};`;
  expect(filesLeftBy(script)).toEqual([]);
});
