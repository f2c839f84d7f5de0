import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { freePort } from '@pangalactic/testing';
import { connectHub } from '@pangalactic/transport';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SpecConfig } from './app.fixture';

const HOST = '127.0.0.1';
const root = repositoryRoot();
/** Inside the repository: the bundle finds proto/ and node_modules/ from where it lies. */
const folder = mkdtempSync(join(root, 'node_modules', '.lifecycle-spec-'));
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  const libs = readdirSync(join(root, 'libs'));
  await build({
    configFile: false,
    root,
    logLevel: 'error',
    resolve: {
      alias: Object.fromEntries(libs.map((lib) => [`@pangalactic/${lib}`, join(root, 'libs', lib, 'src/index.ts')])),
    },
    build: {
      ssr: join(__dirname, 'process.fixture.ts'),
      outDir: folder,
      minify: false,
      rollupOptions: { output: { format: 'cjs', entryFileNames: 'process.cjs' } },
    },
  });
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function specConfig(changes: Partial<SpecConfig> = {}): Promise<SpecConfig> {
  return {
    http: { host: HOST, port: await freePort() },
    grpc: { host: HOST, port: await freePort() },
    drain: { delayMs: 0, deadlineMs: 10_000, closeGraceMs: 300, leaveGraceMs: 5_000 },
    logLevel: 'info',
    ...changes,
  };
}

function run(config: SpecConfig) {
  const child = spawn(process.execPath, [join(folder, 'process.cjs'), JSON.stringify(config)]);
  closers.push(() => child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  const url = `http://${HOST}:${config.http.port}`;
  const ready = () =>
    expect
      .poll(
        () =>
          fetch(`${url}/readyz`).then(
            (reply) => reply.status,
            () => 0,
          ),
        { timeout: 10_000 },
      )
      .toBe(200);
  return { child, output, exit, url, ready };
}

async function occupy(port: number): Promise<void> {
  const server = createServer().listen(port, HOST);
  await once(server, 'listening');
  closers.push(() => server.close());
}

describe('a process that cannot start ends with code 1', () => {
  it.each([
    ['config', 'SPEC_ADDR="nowhere": allowed: host:port\n'],
    ['module', 'NODE_GPU_COMPUTE_TYPE="cuda": install it first\n'],
  ] as const)('and one line for a mistake of the operator (%s)', async (fault, line) => {
    const { exit, output } = run(await specConfig({ fault }));
    expect(await exit).toBe(1);
    expect(output.stderr).toBe(line);
  });

  it.each([
    ['http', 'SPEC_HTTP_ADDR'],
    ['grpc', 'SPEC_BIND_ADDR'],
  ] as const)('and one line for a busy port (%s)', async (server, variable) => {
    const config = await specConfig();
    await occupy(config[server].port);
    const { exit, output } = run(config);
    expect(await exit).toBe(1);
    expect(output.stderr).toBe(
      `${variable}: cannot listen on ${HOST}:${config[server].port}: the address is already in use\n`,
    );
  });

  it('and a stack for a defect', async () => {
    const { exit, output } = run(await specConfig({ fault: 'defect' }));
    expect(await exit).toBe(1);
    expect(output.stdout + output.stderr).toContain('undefined is not a function');
  });
});

describe('a running process', () => {
  it('drains at SIGTERM: finishes its work, ends endless streams with a status, exits 0', async () => {
    const config = await specConfig();
    const { child, exit, url, ready, output } = run(config);
    await ready();
    const hub = connectHub(`${HOST}:${config.grpc.port}`, { clusterToken: undefined });
    closers.push(() => hub.close());
    const routes = hub.watchRoutes({});
    expect((await routes.next()).value).toMatchObject({ models: [{ id: 'first' }] });
    const slow = fetch(`${url}/slow/800`).then((reply) => reply.text());
    await expect.poll(() => fetch(`${url}/healthz`).then((reply) => reply.status)).toBe(200);
    child.kill('SIGTERM');
    const streamEnd = expect(routes.next()).rejects.toMatchObject({
      code: 'service_unavailable',
      message: 'the process is shutting down',
    });
    await expect.poll(() => fetch(`${url}/readyz`).then((reply) => reply.text())).toContain('draining');
    expect(await slow).toBe('finished');
    await streamEnd;
    expect(await exit).toBe(0);
    expect(output.stderr).toBe('');
    expect(output.stdout).toContain('"event":"drained","inFlight":0');
  });

  it('ends at its deadline when work does not, cutting connections', async () => {
    const drain = { delayMs: 0, deadlineMs: 200, closeGraceMs: 200, leaveGraceMs: 5_000 };
    const config = await specConfig({ drain });
    const { child, exit, url, ready } = run(config);
    await ready();
    const cut = fetch(`${url}/slow/60000`).then(
      () => 'answered',
      () => 'cut',
    );
    await expect.poll(() => fetch(`${url}/healthz`).then((reply) => reply.status)).toBe(200);
    const start = performance.now();
    child.kill('SIGINT');
    expect(await exit).toBe(0);
    expect(await cut).toBe('cut');
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('is gone after its deadline even when a hook never ends', async () => {
    const drain = { delayMs: 0, deadlineMs: 100, closeGraceMs: 100, leaveGraceMs: 100 };
    const { child, exit, ready, output } = run(await specConfig({ drain, fault: 'hang' }));
    await ready();
    child.kill('SIGTERM');
    expect(await exit).toBeNull();
    expect(child.signalCode).toBe('SIGKILL');
    expect(output.stdout).toContain('"event":"shutdown_overdue","error":"still shutting down after 300 ms"');
  });

  it('logs an unhandled rejection as one line and exits 1', async () => {
    const { exit, url, ready, output } = run(await specConfig());
    await ready();
    await fetch(`${url}/reject`).catch(() => undefined);
    expect(await exit).toBe(1);
    const lines = output.stdout.split('\n').filter((line) => line.includes('nobody catches this'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ event: 'unhandledRejection', error: 'nobody catches this' });
    expect(output.stderr).toBe('');
  });
});
