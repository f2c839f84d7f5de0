import { createServer } from 'node:net';
import { freePort, startCluster } from '@pangalactic/testing';
import { describe, expect, it } from 'vitest';
import { runToEnd } from './run-to-end';

const MAIN = { hub: 'apps/hub/src/main.js', node: 'apps/node/src/main.js', gateway: 'apps/gateway/src/main.js' };

describe('a bad variable ends the process with one line', () => {
  it.each([
    ['hub', { HUB_STATE_BACKEND: 'redis' }, 'HUB_STATE_BACKEND="redis": allowed: sqlite, etcd\n'],
    ['node', { NODE_GPU_COMPUTE_TYPE: 'tpu' }, 'NODE_GPU_COMPUTE_TYPE="tpu": allowed: cuda, rocm, metal, cpu\n'],
    ['gateway', { GATEWAY_RATE_LIMIT_RPM: 'many' }, /^GATEWAY_RATE_LIMIT_RPM="many": allowed: an integer.*\n$/],
  ] as const)('%s %o', async (app, env, line) => {
    const { code, stdout, stderr } = await runToEnd(MAIN[app], [], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    if (typeof line === 'string') expect(stderr).toBe(line);
    else expect(stderr).toMatch(line);
  });
});

it('a compute type without its hardware is refused in one line that says what to do', async () => {
  const { code, stderr } = await runToEnd(MAIN.node, [], { NODE_GPU_COMPUTE_TYPE: 'rocm' });
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stderr).toMatch(/rocm.*NODE_SIMULATED_VRAM_GB/);
});

it('a port in use is named in one line', async () => {
  const port = await freePort();
  const server = createServer().listen(port, '127.0.0.1');
  const { code, stderr } = await runToEnd(MAIN.gateway, [], { GATEWAY_BIND_ADDR: `127.0.0.1:${port}` });
  server.close();
  expect(code).toBe(1);
  expect(stderr).toBe(`GATEWAY_BIND_ADDR: cannot listen on 127.0.0.1:${port}: the address is already in use\n`);
});

it('SIGTERM ends every process with code 0', async () => {
  const cluster = await startCluster({ nodes: 2 });
  const exits = await cluster.stopAll(10_000);
  expect(Object.fromEntries(exits)).toEqual({
    gateway: { code: 0, signal: null },
    'node-1': { code: 0, signal: null },
    'node-2': { code: 0, signal: null },
    hub: { code: 0, signal: null },
  });
  await cluster.stop();
});
