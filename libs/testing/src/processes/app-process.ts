import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { childEnvironment, VARIABLE_TABLE, type Environment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';

export type AppName = 'hub' | 'node' | 'gateway';

export interface AppProcessSpec {
  readonly name: string;
  readonly app: AppName;
  /** The configuration; a variable that is missing here has its default, whatever the caller's shell says. */
  readonly env: Environment;
  /** stdout and stderr are appended to this file. */
  readonly logPath: string;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export function describeExit({ code, signal }: ProcessExit): string {
  return signal ? `was ended by ${signal}` : `exited with code ${code}`;
}

const UNSET = Object.fromEntries(VARIABLE_TABLE.map(({ variable }) => [variable, '']));

function built(...path: string[]): string {
  return join(repositoryRoot(), 'dist', ...path);
}

/** One app of this repository as a real process, run from dist/ in a process group of its own. */
export class AppProcess {
  readonly exited: Promise<ProcessExit>;
  private exit: ProcessExit | undefined;

  private constructor(
    private readonly spec: AppProcessSpec,
    private readonly child: ChildProcess,
  ) {
    this.exited = new Promise((resolve) => {
      const settle = (exit: ProcessExit) => {
        this.exit ??= exit;
        resolve(this.exit);
      };
      child.once('exit', (code, signal) => settle({ code, signal }));
      child.once('error', () => settle({ code: null, signal: null }));
    });
  }

  static start(spec: AppProcessSpec): AppProcess {
    const entry = built('apps', spec.app, 'src', 'main.js');
    if (!existsSync(entry)) throw new Error(`${entry} is missing: run \`npm run build\` first`);
    const log = openSync(spec.logPath, 'a');
    try {
      const preload = built('libs', 'testing', 'src', 'processes', 'exit-with-parent.js');
      // Detached: Ctrl-C in a terminal reaches the parent only, which then stops the processes in the right order.
      const child = spawn(process.execPath, ['--require', preload, entry], {
        cwd: repositoryRoot(),
        env: childEnvironment({ ...UNSET, ...spec.env }),
        detached: true,
        stdio: ['ignore', log, log, 'ipc'],
      });
      return new AppProcess(spec, child);
    } finally {
      closeSync(log);
    }
  }

  get name(): string {
    return this.spec.name;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.name} could not be started`);
    return this.child.pid;
  }

  /** How it ended; undefined while it runs. */
  get ended(): ProcessExit | undefined {
    return this.exit;
  }

  get logPath(): string {
    return this.spec.logPath;
  }

  logs(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.exit) this.child.kill(signal);
  }

  /** SIGTERM, and SIGKILL for a process that is still there after the grace time. */
  async stop(graceMs: number): Promise<ProcessExit> {
    this.kill('SIGTERM');
    const grace = new AbortController();
    const expired = sleep(graceMs, 'expired' as const, { signal: grace.signal }).catch(() => 'aborted' as const);
    if ((await Promise.race([this.exited, expired])) === 'expired') this.kill('SIGKILL');
    grace.abort();
    return this.exited;
  }
}
