import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { childEnvironment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { onTestFinished } from 'vitest';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** A script of dist/, with what it prints. It ends with the test, whether or not that went well. */
export function runBuilt(script: string, args: readonly string[], env: Record<string, string> = {}): RunningProcess {
  const child = spawn(process.execPath, [join(repositoryRoot(), 'dist', script), ...args], {
    cwd: repositoryRoot(),
    env: childEnvironment({ LOG_LEVEL: 'info', ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}

export function runToEnd(script: string, args: readonly string[] = [], env?: Record<string, string>): Promise<Ended> {
  return runBuilt(script, args, env).ended;
}
