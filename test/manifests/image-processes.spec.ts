import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort, until } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSoftwareGpu, nvidiaSmi, SOFTWARE_GPU } from '../gpu/software-gpu';
import { ContainedImages, type Container, type Target, TARGETS, USER } from './images/contained-images';
import { hasImageBuilder } from './programs';

/** Of the base images, of npm's registry and of compiling SQLite. */
const BUILD_MS = 45 * 60_000;
const READY_MS = 120_000;

const NO_ADAPTER = 'Failed to get a WebGPU adapter: .+';

const isNightly = process.env.PANGALACTIC_NIGHTLY === '1';

describe.runIf(isNightly && hasImageBuilder())('the images', () => {
  let images: ContainedImages;
  const containers = new Map<Target, Container>();
  const nvidia = { env: [] as string[], volumes: [] as string[] };
  const ports = { hub: 0, hubHttp: 0, node: 0, nodeHttp: 0, gateway: 0 };

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'images-'));
    chmodSync(folder, 0o755);
    images = new ContainedImages(folder);
    images.build();
    for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort();
    await nvidiaSmi(join(images.folder, 'nvidia'), 3072);
    const path = images.image('node').env.find((line) => line.startsWith('PATH='))!;
    nvidia.env = [path.replace('=', '=/mnt:')];
    nvidia.volumes = [`${join(images.folder, 'nvidia')}:/mnt`];
  }, BUILD_MS);
  afterAll(async () => {
    await images.remove();
    rmSync(images.folder, { recursive: true });
  });

  async function startUntilReady(
    target: Target,
    port: number,
    env: readonly string[],
    volumes: readonly string[] = [],
  ): Promise<void> {
    const container = images.start(target, env, volumes);
    containers.set(target, container);
    const ready = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
    await until(ready, { timeoutMs: READY_MS, message: () => `${target} is ready: ${container.output()}` });
  }

  function startNode(target: Target, env: readonly string[] = [], volumes: readonly string[] = []): Promise<void> {
    const settings = [
      `NODE_ID=${target}`,
      `NODE_HUB_ADDR=127.0.0.1:${ports.hub}`,
      `NODE_BIND_ADDR=127.0.0.1:${ports.node}`,
      `NODE_HTTP_ADDR=127.0.0.1:${ports.nodeHttp}`,
      'NODE_MODEL_DIR=/app/models',
    ];
    return startUntilReady(target, ports.nodeHttp, [...settings, ...env], [images.volume('/data/node'), ...volumes]);
  }

  /** What the kernel tells of an AMD GPU's memory. */
  function amdMemory(): string {
    const card = join(images.folder, 'class/drm/card0/device');
    mkdirSync(card, { recursive: true });
    writeFileSync(join(card, 'mem_info_vram_total'), String(8 * 2 ** 30));
    return `${join(images.folder, 'class')}:/sys/class`;
  }

  /** Greedy. */
  function answer(path: string, prompt: object): Promise<object> {
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${ports.gateway}/v1/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'pangalactic-nano', temperature: 0, ...prompt }),
      });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()) as object;
    };
    return until(ask, { timeoutMs: READY_MS, message: 'the model answers' });
  }

  async function terminate(target: Target): Promise<void> {
    const { process } = containers.get(target)!;
    const exit = once(process, 'exit');
    // `unshare` waits for its child, which is process 1 of the container.
    execFileSync('pkill', ['--signal', 'TERM', '--parent', String(process.pid)]);
    expect(await exit, target).toEqual([0, null]);
  }

  it('run as nobody in particular and say how they are', () => {
    for (const target of TARGETS) {
      const { user, healthcheck } = images.image(target);
      expect(user).toBe(`${USER}:${USER}`);
      expect(healthcheck).toBeDefined();
    }
  });

  it('are a cluster that answers, as uid 1000 on read-only roots', async () => {
    const hub = [`HUB_BIND_ADDR=127.0.0.1:${ports.hub}`, `HUB_HTTP_ADDR=127.0.0.1:${ports.hubHttp}`];
    await startUntilReady('hub', ports.hubHttp, hub, [images.volume('/data/hub')]);
    const gateway = [`GATEWAY_BIND_ADDR=127.0.0.1:${ports.gateway}`, `GATEWAY_HUB_ADDR=127.0.0.1:${ports.hub}`];
    await startUntilReady('gateway', ports.gateway, gateway);
    await startNode('node-cpu');
    const completion = await answer('completions', { prompt: 'Once', max_tokens: 8 });
    expect(completion).toMatchObject({ usage: { completion_tokens: 8 } });
  });

  it('have the command line, a health check that can fail, and nothing that can be written', async () => {
    const topology = ['pangalactic', 'cluster', 'topology', '--hub-addr', `127.0.0.1:${ports.hub}`];
    const { code, stdout } = await images.run('gateway', topology);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('pangalactic-nano') as string });
    const check = (path: string) =>
      images.run('hub', ['node', '/app/docker/healthcheck.mjs', `http://127.0.0.1:${ports.hubHttp}${path}`]);
    expect([(await check('/healthz')).code, (await check('/nowhere')).code]).toEqual([0, 1]);
    for (const target of TARGETS) {
      const { code, stdout } = await images.run(target, ['sh', '-c', 'id -u; touch /app/x /tmp/x /data/x']);
      expect({ code, stdout }).toEqual({ code: 1, stdout: `${USER}\n` });
    }
  });

  it('of GPUs end with one line where there is none', async () => {
    // The first have no driver at all. The others are told of a GPU, but Vulkan finds none: NVIDIA's driver lacks its
    // part, and Mesa's has software alone.
    for (const [target, type, env, volumes, reason] of [
      ['node', 'cuda', [], [], 'spawn nvidia-smi ENOENT'],
      ['node', 'cuda', nvidia.env, nvidia.volumes, NO_ADAPTER],
      ['node-rocm', 'rocm', [], [], '.+'],
      ['node-rocm', 'rocm', [], [amdMemory()], NO_ADAPTER],
    ] as const) {
      const { code, stderr } = await images.run(target, images.image(target).command, env, volumes);
      const line = `^NODE_GPU_COMPUTE_TYPE="${type}": no GPU can be used \\(${reason}\\): it takes .+\n$`;
      expect(stderr).toMatch(new RegExp(line));
      expect(code).toBe(1);
    }
  });

  it.runIf(isNightly && hasSoftwareGpu())('node computes on a GPU, in a process of its own', async () => {
    await terminate('node-cpu');
    // Where NVIDIA's container runtime puts its driver's description, too.
    const driver = `${dirname(SOFTWARE_GPU.VK_ICD_FILENAMES)}:/etc/vulkan/icd.d`;
    await startNode('node', nvidia.env, [...nvidia.volumes, driver]);

    const completion = await answer('chat/completions', { messages: [{ role: 'user', content: 'Hello' }] });
    const content = 'Hello! I am PanGalactic Nano, a tiny language model. How can I help you today?';
    expect(completion).toMatchObject({ choices: [{ message: { content } }] });

    const [first] = childrenOf(containers.get('node')!.process.pid!);
    const engines = childrenOf(first!);
    expect(engines).toHaveLength(1);
    const status = readFileSync(`/proc/${engines[0]}/status`, 'utf8');
    expect(status).toMatch(new RegExp(`^Uid:\t${USER}\t`, 'm'));
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(readFileSync(`/proc/${engines[0]}/maps`, 'utf8')).toContain('libvk_swiftshader.so');
    await terminate('node');
    expect(existsSync(`/proc/${engines[0]}`)).toBe(false);
  });

  it('end with code 0 on SIGTERM to process 1', async () => {
    const running = [...containers].filter(([, { process }]) => process.exitCode === null).map(([target]) => target);
    expect(running.slice(0, 2)).toEqual(['hub', 'gateway']);
    for (const target of running.reverse()) await terminate(target);
  });
});

function childrenOf(pid: number): number[] {
  const { stdout } = spawnSync('pgrep', ['--parent', String(pid)], { encoding: 'utf8' });
  return stdout.trim().split('\n').map(Number);
}
