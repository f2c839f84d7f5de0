import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { childEnvironment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';

const SCRIPTS = join(repositoryRoot(), 'test/manifests/images');
const DRIVER = process.env.BUILDAH_STORAGE_DRIVER ?? 'overlay';
/** The user of the images. */
export const USER = 1000;

export const TARGETS = ['hub', 'gateway', 'node-cpu', 'node', 'node-rocm'] as const;
export type Target = (typeof TARGETS)[number];

export interface Image {
  readonly root: string;
  readonly user: string;
  readonly env: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: object | undefined;
}

export interface Container {
  /** Not of the image's process 1, but of what contains it. */
  readonly process: ChildProcess;
  /** What it has printed until now, on both streams. */
  output(): string;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The images of docker/Dockerfile, and what runs of them in the way of contain.sh. */
export class ContainedImages {
  private readonly images = new Map<Target, Image>();
  private readonly mounted: string[] = [];
  private readonly processes = new Set<ChildProcess>();

  /** @param folder for what containers mount, which their user can read */
  constructor(readonly folder: string) {}

  /** Takes minutes, and some of them for the network. */
  build(): void {
    execFileSync(join(SCRIPTS, 'build.sh'), { stdio: 'inherit' });
    for (const target of TARGETS) {
      const name = `localhost/pangalactic/${target}:test`;
      const container = buildah('from', '--pull-never', name);
      this.mounted.push(container);
      const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', name)) as {
        Docker: { config: { User: string; Env: string[]; Cmd: string[]; Healthcheck?: object } };
      };
      const { User, Env, Cmd, Healthcheck } = Docker.config;
      const root = buildah('mount', container);
      this.images.set(target, { root, user: User, env: Env, command: Cmd, healthcheck: Healthcheck });
    }
  }

  image(target: Target): Image {
    return this.images.get(target)!;
  }

  /** A folder that belongs to the images' user, mounted at the same place as a volume would be. */
  volume(path: string): string {
    const folder = join(this.folder, path);
    mkdirSync(folder, { recursive: true });
    chownSync(folder, USER, USER);
    return `${folder}:${path}`;
  }

  /** Runs the image's own command. */
  start(target: Target, env: readonly string[], volumes: readonly string[] = []): Container {
    const child = this.contain(target, env, volumes, this.image(target).command);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (printed: string) => (output += printed));
    }
    return { process: child, output: () => output };
  }

  /** Runs a command to its end. */
  async run(
    target: Target,
    command: readonly string[],
    env: readonly string[] = [],
    volumes: readonly string[] = [],
  ): Promise<Finished> {
    const child = this.contain(target, env, volumes, command);
    const [[code], stdout, stderr] = await Promise.all([
      once(child, 'close') as Promise<[number]>,
      text(child.stdout),
      text(child.stderr),
    ]);
    return { code, stdout, stderr };
  }

  async remove(): Promise<void> {
    for (const child of this.processes) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    for (const container of this.mounted) buildah('rm', container);
  }

  private contain(target: Target, env: readonly string[], volumes: readonly string[], command: readonly string[]) {
    const image = this.image(target);
    const inside = ['env', '--ignore-environment', '--chdir=/app', ...image.env, ...env, ...command];
    const child = spawn(join(SCRIPTS, 'contain.sh'), [image.root, ...volumes, '--', ...inside], {
      env: childEnvironment({}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.processes.add(child);
    child.once('exit', () => this.processes.delete(child));
    return child;
  }
}

function buildah(...args: string[]): string {
  return execFileSync('buildah', ['--storage-driver', DRIVER, ...args], { encoding: 'utf8' }).trim();
}
