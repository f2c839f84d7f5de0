import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { repositoryRoot } from '@pangalactic/contracts';

/** What a measurement cannot be read without. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly node: string;
  readonly onnxruntime: string;
  readonly commit: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
    onnxruntime: packageVersion('onnxruntime-node'),
    commit: commit(),
  };
}

function packageVersion(name: string): string {
  const manifest = createRequire(__filename).resolve(`${name}/package.json`);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** Of the working tree; "-dirty" when it differs from the commit. */
function commit(): string {
  try {
    const git = ['-C', repositoryRoot(), 'describe', '--always', '--dirty', '--abbrev=12'];
    return execFileSync('git', git, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'no git repository';
  }
}
