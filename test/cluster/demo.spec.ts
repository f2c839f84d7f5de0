import { createServer } from 'node:net';
import { freePort, until } from '@pangalactic/testing';
import { expect, it } from 'vitest';
import { runBuilt, runToEnd, type RunningProcess } from './run-to-end';

const DEMO = 'apps/cli/src/demo/main.js';

/** Ports for a demo that runs beside other ones. */
async function freePlace() {
  const gateway = await freePort();
  const hub = await freeRange(2);
  const node = await freeRange(6);
  return { gateway, flags: ['--port', gateway, '--hub-port', hub, '--node-port', node].map(String) };
}

/** @returns the first of so many neighbouring free ports */
async function freeRange(count: number): Promise<number> {
  for (let first = await freePort(), found = 1; ; found += 1) {
    if (found === count) return first;
    const next = await freePort();
    if (next !== first + found) [first, found] = [next, 0];
  }
}

it('--exit --json prints one object as its last line', async () => {
  const { flags } = await freePlace();
  const { code, stdout, stderr } = await runToEnd(DEMO, ['--prompt', 'Hello', '--exit', '--json', ...flags]);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toEqual({
    model: 'pangalactic-nano',
    nodes: 3,
    stages: [
      { node: 'node-1', layers: [0, 3] },
      { node: 'node-2', layers: [3, 6] },
      { node: 'node-3', layers: [6, 8] },
    ],
    text: 'Hello! I am PanGalactic Nano, a tiny language model. How can I help you today?',
    completion_tokens: 19,
    ttft_ms: expect.any(Number) as number,
    tokens_per_second: expect.any(Number) as number,
  });
});

it('names a busy port before it starts anything', async () => {
  const { flags, gateway } = await freePlace();
  const server = createServer().listen(gateway, '127.0.0.1');
  const { code, stdout, stderr } = await runToEnd(DEMO, ['--exit', ...flags]);
  server.close();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(new RegExp(`^demo: port in use: ${gateway} \\(gateway\\); .*--port\\n$`));
});

it('starts a dead node again, and leaves nothing behind after Ctrl-C', async () => {
  const { flags, gateway } = await freePlace();
  const demo = watch(runBuilt(DEMO, ['--nodes', '2', ...flags]));
  await demo.says(/Ctrl-C stops every process/);
  process.kill(await demo.pidOf('node-2', 'started'), 'SIGKILL');
  await demo.says(/node-2 was ended by SIGKILL, starting again/);
  const pids = [
    await demo.pidOf('hub', 'started'),
    await demo.pidOf('gateway', 'started'),
    await demo.pidOf('node-1', 'started'),
    await demo.pidOf('node-2', 'started again'),
  ];
  const ask = async () => {
    const response = await fetch(`http://127.0.0.1:${gateway}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'pangalactic-nano', prompt: 'Hello', max_tokens: 5 }),
    });
    return response.ok;
  };
  await until(ask, { timeoutMs: 30_000, message: 'the model is served again' });

  expect(pids.filter(isAlive)).toEqual(pids);
  demo.child.kill('SIGINT');
  expect((await demo.ended).code).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
});

it('starts a node again that dies before all have started', async () => {
  const { flags } = await freePlace();
  const demo = watch(runBuilt(DEMO, ['--nodes', '2', '--exit', '--prompt', 'Hello', ...flags]));
  process.kill(await demo.pidOf('node-1', 'started'), 'SIGKILL');
  const { code, stdout, stderr } = await demo.ended;
  expect(stderr).toMatch(/node-1 was ended by SIGKILL, starting again in 0\.5 s/);
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: expect.stringContaining('Hello!') as string });
});

it('gives up a node that never starts', async () => {
  const { flags } = await freePlace();
  const { child, ended } = runBuilt(DEMO, ['--nodes', '1', ...flags]);
  child.stderr?.on('data', (text: string) => {
    for (const [, pid] of text.matchAll(/node-1 started(?: again)? \(process (\d+)\)/g))
      process.kill(Number(pid), 'SIGKILL');
  });
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  expect(stderr.match(/starting again/g)).toHaveLength(2);
  expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^demo: node-1 was ended by SIGKILL.* \(logs: .*node-1\.log\)$/);
});

it('takes its processes with it, however it dies', async () => {
  const { flags } = await freePlace();
  const demo = watch(runBuilt(DEMO, ['--nodes', '1', ...flags]));
  const pids = await Promise.all(['hub', 'node-1', 'gateway'].map((name) => demo.pidOf(name, 'started')));
  demo.child.kill('SIGKILL');
  await until(() => !pids.some(isAlive), { timeoutMs: 15_000, message: 'all processes are gone' });
});

function watch({ child, ended }: RunningProcess) {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text: string) => (output += text));
  const says = (text: RegExp) =>
    until(() => text.exec(output), { timeoutMs: 60_000, message: () => `${text} in:\n${output}` });
  const pidOf = async (name: string, event: string) =>
    Number((await says(new RegExp(`${name} ${event} \\(process (\\d+)\\)`)))[1]);
  return { child, ended, says, pidOf };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
