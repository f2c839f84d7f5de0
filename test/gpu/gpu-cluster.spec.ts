import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster, type TestCluster, until } from '@pangalactic/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openaiClient } from '../cluster/openai-client';
import { hasSoftwareGpu, nvidiaSmi, SOFTWARE_GPU } from './software-gpu';

const MODEL = 'pangalactic-nano';
const GREETING = { model: MODEL, messages: [{ role: 'user' as const, content: 'Hello' }], temperature: 0 };
const ANSWER = 'Hello! I am PanGalactic Nano, a tiny language model. How can I help you today?';

describe.runIf(hasSoftwareGpu())('nodes that compute on a GPU', () => {
  let folder: string;
  let cluster: TestCluster;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pangalactic-gpu-'));
    const node = { NODE_GPU_COMPUTE_TYPE: 'cuda', ...SOFTWARE_GPU, ...(await nvidiaSmi(folder, 3072)) };
    cluster = await startCluster({ nodes: 2, model: MODEL, env: { node }, timeoutMs: 110_000 });
  });
  afterAll(async () => {
    await cluster?.stop();
    await rm(folder, { recursive: true });
  });

  it('offer the memory of the GPU', async () => {
    const { nodes } = await cluster.view();
    expect(nodes.map(({ computeType, simulated, memoryBytes }) => ({ computeType, simulated, memoryBytes }))).toEqual(
      nodes.map(() => ({ computeType: 'cuda', simulated: false, memoryBytes: 3 * 2 ** 30 })),
    );
  });

  it('lose no token when the driver ends an engine in the middle of an answer', async () => {
    const stream = await openaiClient(cluster).chat.completions.create({ ...GREETING, stream: true });
    let text = '';
    for await (const { choices } of stream) {
      if (text === '' && choices[0]?.delta.content) {
        const ended = spawnSync('pkill', [
          '-SEGV',
          '-P',
          String(cluster.process('node-2').pid),
          '-f',
          'engine-worker.js',
        ]);
        expect(ended.status).toBe(0);
      }
      text += choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(ANSWER);
    expect(await cluster.metric('gateway', 'pangalactic_request_resumes_total')).toBeGreaterThan(0);
  });

  it('leave no engine behind when they are killed', async () => {
    const engines = enginesOf(cluster.process('node-1').pid);
    expect(engines).toHaveLength(1);
    await cluster.kill('node-1');
    const gone = () => Promise.resolve(engines.every((pid) => !existsSync(`/proc/${pid}`)));
    await until(gone, { timeoutMs: 20_000, message: 'the engine of the killed node has ended' });
  });
});

/** Processes that compute for a node. */
function enginesOf(node: number): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(node), '-f', 'engine-worker.js'], { encoding: 'utf8' });
  const pids = stdout.trim().split('\n').map(Number);
  expect(pids).not.toContain(0);
  return pids;
}
