import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEnvironment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { freePort, until } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasImageBuilder } from './programs';

const SCRIPTS = join(repositoryRoot(), 'test/manifests/images');
const DRIVER = process.env.BUILDAH_STORAGE_DRIVER ?? 'overlay';
/** Of the base images, of npm's registry and of compiling SQLite. */
const BUILD_MS = 45 * 60_000;
const READY_MS = 120_000;
/** The user of the images. */
const USER = 1000;

const isNightly = process.env.PANGALACTIC_NIGHTLY === '1';
const targets = ['hub', 'gateway', 'node-cpu'] as const;
type Target = (typeof targets)[number];

function buildah(...args: string[]): string {
  return execFileSync('buildah', ['--storage-driver', DRIVER, ...args], { encoding: 'utf8' }).trim();
}

interface Image {
  readonly root: string;
  readonly env: readonly string[];
  readonly command: readonly string[];
}

describe.runIf(isNightly && hasImageBuilder())('the images hub, gateway and node-cpu', () => {
  const images = new Map<Target, Image>();
  const containers: string[] = [];
  const processes = new Map<string, ChildProcess>();
  const output = new Map<string, string>();
  const ports = { hub: 0, hubHttp: 0, node: 0, nodeHttp: 0, gateway: 0 };
  let data: string;

  beforeAll(async () => {
    execFileSync(join(SCRIPTS, 'build.sh'), { stdio: 'inherit' });
    for (const target of targets) {
      const name = `localhost/pangalactic/${target}:test`;
      const container = buildah('from', '--pull-never', name);
      containers.push(container);
      const { Docker } = JSON.parse(buildah('inspect', '--type', 'image', name)) as {
        Docker: { config: { User: string; Env: string[]; Cmd: string[]; Healthcheck: object } };
      };
      const { User, Env, Cmd, Healthcheck } = Docker.config;
      expect(User).toBe(`${USER}:${USER}`);
      expect(Healthcheck).toBeDefined();
      images.set(target, { root: buildah('mount', container), env: Env, command: Cmd });
    }
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();
    data = mkdtempSync(join(tmpdir(), 'images-'));
    chmodSync(data, 0o755);
  }, BUILD_MS);

  afterAll(() => {
    for (const child of processes.values()) child.kill('SIGKILL');
    for (const container of containers) buildah('rm', container);
    rmSync(data, { recursive: true, force: true });
  });

  /** A folder that belongs to the images' user, mounted at the same place as a volume would be. */
  function volume(path: string): string {
    const folder = join(data, path);
    mkdirSync(folder, { recursive: true });
    chownSync(folder, USER, USER);
    return `${folder}:${path}`;
  }

  function contain(target: Target, env: readonly string[], volumes: readonly string[], command: readonly string[]) {
    const image = images.get(target)!;
    const inside = ['env', '--ignore-environment', '--chdir=/app', ...image.env, ...env, ...command];
    return spawn(join(SCRIPTS, 'contain.sh'), [image.root, ...volumes, '--', ...inside], {
      env: childEnvironment({}),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  function start(target: Target, env: readonly string[], volumes: readonly string[] = []): void {
    const child = contain(target, env, volumes, images.get(target)!.command);
    child.stdout
      .setEncoding('utf8')
      .on('data', (text: string) => output.set(target, (output.get(target) ?? '') + text));
    processes.set(target, child);
  }

  async function run(target: Target, ...command: string[]): Promise<{ code: number; stdout: string }> {
    const child = contain(target, [], [], command);
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    const [code] = (await once(child, 'close')) as [number];
    return { code, stdout };
  }

  async function untilReady(target: Target, port: number): Promise<void> {
    const ready = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
    await until(ready, { timeoutMs: READY_MS, message: () => `${target} is ready: ${output.get(target)}` });
  }

  it('are a cluster that answers, as uid 1000 on read-only roots', async () => {
    start(
      'hub',
      [`HUB_BIND_ADDR=127.0.0.1:${ports.hub}`, `HUB_HTTP_ADDR=127.0.0.1:${ports.hubHttp}`],
      [volume('/data/hub')],
    );
    await untilReady('hub', ports.hubHttp);
    start('gateway', [`GATEWAY_BIND_ADDR=127.0.0.1:${ports.gateway}`, `GATEWAY_HUB_ADDR=127.0.0.1:${ports.hub}`]);
    await untilReady('gateway', ports.gateway);
    start(
      'node-cpu',
      [
        `NODE_HUB_ADDR=127.0.0.1:${ports.hub}`,
        `NODE_BIND_ADDR=127.0.0.1:${ports.node}`,
        `NODE_HTTP_ADDR=127.0.0.1:${ports.nodeHttp}`,
        'NODE_MODEL_DIR=/app/models',
      ],
      [volume('/data/node')],
    );
    await untilReady('node-cpu', ports.nodeHttp);

    const answer = async () => {
      const response = await fetch(`http://127.0.0.1:${ports.gateway}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'pangalactic-nano', prompt: 'Once', max_tokens: 8 }),
      });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as object;
    };
    const completion = await until(answer, { timeoutMs: READY_MS, message: 'the model answers' });
    expect(completion).toMatchObject({ usage: { completion_tokens: 8 } });
  });

  it('have the command line, a health check that can fail, and nothing that can be written', async () => {
    const topology = await run('gateway', 'pangalactic', 'cluster', 'topology', '--hub-addr', `127.0.0.1:${ports.hub}`);
    expect(topology).toMatchObject({ code: 0, stdout: expect.stringContaining('pangalactic-nano') as string });
    const check = (path: string) =>
      run('hub', 'node', '/app/docker/healthcheck.mjs', `http://127.0.0.1:${ports.hubHttp}${path}`);
    expect([(await check('/healthz')).code, (await check('/nowhere')).code]).toEqual([0, 1]);
    for (const target of targets) {
      const { code, stdout } = await run(target, 'sh', '-c', 'id -u; touch /app/x /tmp/x /data/x');
      expect({ code, stdout }).toEqual({ code: 1, stdout: `${USER}\n` });
    }
  });

  it('end with code 0 on SIGTERM to process 1', async () => {
    for (const target of ['gateway', 'node-cpu', 'hub']) {
      const child = processes.get(target)!;
      const exit = once(child, 'exit');
      // `unshare` waits for its child, which is process 1 of the container.
      execFileSync('pkill', ['--signal', 'TERM', '--parent', String(child.pid)]);
      expect(await exit).toEqual([0, null]);
      processes.delete(target);
    }
  });
});
