import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startProcess } from './engine-host';
import { RemoteShard } from './remote-shard';
import { requireGpu } from './require-gpu';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pangalactic-engine-host-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => {
  vi.useRealTimers();
});

/** A program in the place of engine-worker.js. */
async function worker(name: string, source: string): Promise<string> {
  const file = join(folder, `${name}.cjs`);
  await writeFile(file, source);
  return file;
}

/** As in a driver that does not return: it says that it has the message and is not heard of again. */
const HANGING = `process.on('message', () => { process.stderr.write('hangs\\n', () => { for (;;); }); });`;

const INPUT = {
  spec: { modelPath: '', fingerprint: '', layers: { from: 0, to: 1 }, contextLength: 8, maxSequences: 1 },
  options: { device: 'gpu', threads: 1, cacheDir: '', inPlace: true },
} as const;

/** Its own timers are in our hand, and it hangs. */
async function hangingProcess(start: (file: string, onLine: (line: string) => void) => void): Promise<void> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const file = await worker('hanging', HANGING);
  await new Promise<void>((resolve) => start(file, (line) => line === 'hangs' && resolve()));
}

describe('an engine process', () => {
  it('that hangs is ended when its load is given up', async () => {
    const giveUp = new AbortController();
    let loading: Promise<unknown> | undefined;
    await hangingProcess((file, onLine) => {
      loading = RemoteShard.load(startProcess(file, onLine), INPUT, () => undefined, giveUp.signal);
    });
    giveUp.abort(new Error('no longer wanted'));
    vi.advanceTimersByTime(30_000);
    await expect(loading).rejects.toThrow('no longer wanted');
  });

  it('that hangs in the check of the GPU ends it with a reason', async () => {
    let checking: Promise<unknown> | undefined;
    await hangingProcess((workerFile, onWarning) => {
      checking = requireGpu({ workerFile, onWarning });
    });
    vi.advanceTimersByTime(60_000);
    await expect(checking).rejects.toMatchObject({
      code: 'unsupported_compute_type',
      message: 'no answer within 60 s',
    });
  });

  it.each([
    ['crash', `process.kill(process.pid, 'SIGSEGV');`, 'the check failed: it was killed by SIGSEGV'],
    ['exit', 'process.exit(3);', 'the check failed: it ended with code 3'],
    [
      'refuse',
      `process.send({ kind: 'checked', check: { failure: '/a.cc:1 f() x == y was false. No adapter' } }, () => process.exit());`,
      'No adapter',
    ],
  ])('that ends in the check of the GPU says why: %s', async (name, source, message) => {
    const workerFile = await worker(name, `process.on('message', () => { ${source} });`);
    await expect(requireGpu({ workerFile })).rejects.toMatchObject({ code: 'unsupported_compute_type', message });
  });

  it('that finds long chunks computed wrong is used with short ones, which is said', async () => {
    const answer = `process.send({ kind: 'checked', check: { maxRunTokens: 31 } }, () => process.exit());`;
    const workerFile = await worker('short', `process.on('message', () => { ${answer} });`);
    const warnings: string[] = [];
    const found = await requireGpu({ workerFile, onWarning: (warning) => warnings.push(warning) });
    expect(found).toEqual({ maxRunTokens: 31 });
    expect(warnings).toEqual([expect.stringMatching(/^attention over more than 31 new tokens is wrong on this GPU/)]);
  });
});
