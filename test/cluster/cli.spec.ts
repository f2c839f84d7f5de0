import { freePort, startCluster, type TestCluster } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runBuilt, runToEnd } from './run-to-end';

const CLI = 'apps/cli/src/main.js';
const TOKEN = 'a-cluster-secret';

describe('pangalactic cluster, with a cluster token', () => {
  const token = { PANGALACTIC_CLUSTER_TOKEN: TOKEN };
  let cluster: TestCluster;
  let hubAddress: string;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2, env: { hub: token, node: token, gateway: token } });
    hubAddress = cluster.layout.hubAddress;
  });
  afterAll(() => cluster?.stop());

  it('topology prints a row per node', async () => {
    const { code, stdout } = await runToEnd(CLI, ['cluster', 'topology', '--hub-addr', hubAddress], token);
    expect(code).toBe(0);
    expect(stdout).toMatch(/node-1 .*127\.0\.0\.1:\d+ .*CONNECTED .*pangalactic-nano \[0, 4\) .*MiB of/);
    expect(stdout).toMatch(/node-2 .*127\.0\.0\.1:\d+ .*CONNECTED .*pangalactic-nano \[4, 8\) .*MiB of/);
  });

  it.each(['topology', 'status'])('%s --json prints one object', async (command) => {
    const { code, stdout } = await runToEnd(CLI, ['cluster', command, '--json', '--hub-addr', hubAddress], token);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      nodes: [{ node: 'node-1' }, { node: 'node-2' }],
      pipelines: [{ model: 'pangalactic-nano', state: 'READY' }],
    });
  });

  it('node drain and uncordon change what the node may get, as often as they are asked', async () => {
    const node = (...args: string[]) => runToEnd(CLI, ['node', ...args, '--hub-addr', hubAddress], token);
    for (const _ of ['once', 'again']) {
      const { code, stdout } = await node('drain', 'node-2');
      expect(code).toBe(0);
      // Nothing can take its place here, so it serves on.
      expect(stdout).toMatch(/^node-2 is drained: it gets no new shards and still holds its part of \S+ \(READY\)\n$/);
    }
    const status = () => runToEnd(CLI, ['cluster', 'status', '--hub-addr', hubAddress], token);
    expect((await status()).stdout).toMatch(/node-2 .*CONNECTED, drained/);
    expect(await node('uncordon', 'node-2')).toMatchObject({ code: 0, stdout: 'node-2 may get shards again\n' });
    expect((await status()).stdout).not.toContain('drained');
    const { code, stdout, stderr } = await node('drain', 'ghost');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(`pangalactic: hub ${hubAddress} refused: no node "ghost" has registered\n`);
  });

  it('plan --explain predicts a rate and shows the memory of every stage', async () => {
    const { code, stdout } = await runToEnd(CLI, ['cluster', 'plan', '--explain', '--hub-addr', hubAddress], token);
    expect(code).toBe(0);
    expect(stdout).toMatch(/predicted: \d+\.\d tokens\/s of one sequence, .*; bottleneck: node-[12]/);
    expect(stdout).toMatch(/node-1 .*MiB.*\n.*node-2 .*MiB/);
  });

  it.each<Record<string, string>>([{}, { PANGALACTIC_CLUSTER_TOKEN: 'wrong' }])('is refused with %o', async (env) => {
    const { code, stdout, stderr } = await runToEnd(CLI, ['cluster', 'status', '--hub-addr', hubAddress], env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^pangalactic: hub .* refused: .*PANGALACTIC_CLUSTER_TOKEN.*\n$/);
    expect(stderr).not.toContain(TOKEN);
  });
});

it('a hub that cannot be reached is one line that names its address', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const { code, stdout, stderr } = await runToEnd(CLI, ['cluster', 'topology', '--hub-addr', address]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(new RegExp(`^pangalactic: hub ${address} cannot be reached: .*\n$`));
});

it('--version and --help need no server code', async () => {
  expect((await runToEnd(CLI, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await runToEnd(CLI, ['--help'])).stdout).toContain('cluster');
});

it('gateway start runs the gateway in this process', async () => {
  const port = await freePort();
  const gateway = runBuilt(CLI, ['gateway', 'start'], { GATEWAY_BIND_ADDR: `127.0.0.1:${port}` });
  gateway.child.stdout?.once('data', () => gateway.child.kill('SIGTERM'));
  const { code, stdout } = await gateway.ended;
  expect(stdout).toContain('"event"');
  expect(code).toBe(0);
});
