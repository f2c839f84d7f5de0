import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { scanModels } from '@pangalactic/models';
import { ModelServer, type ModelServerFault, type SeenRequest, until } from '@pangalactic/testing';
import { afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { runBuilt, runToEnd } from '../cluster/run-to-end';

const CLI = 'apps/cli/src/main.js';
const REPOSITORY = 'TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF';
const FILE = 'tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf';
let bytes: Buffer;
let dir: string;

beforeAll(async () => {
  bytes = await readFile(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
});
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'model-download-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function startServer(fault?: (request: SeenRequest, count: number) => ModelServerFault | undefined) {
  const server = await ModelServer.start(fault);
  onTestFinished(() => server.close());
  server.serve(`${REPOSITORY}/${FILE}`, { bytes });
  return server;
}

const command = ['model', 'download', `hf:${REPOSITORY}/${FILE}`, '--id', 'tinyllama-1.1b', '--output-dir'];
const path = () => join(dir, 'tinyllama-1.1b', FILE);
const isComplete = async () => bytes.equals(await readFile(path()));

it('a download that is killed goes on where it was', async () => {
  let slow = true;
  const server = await startServer((request, count) =>
    request.host === 'cdn' && count > 0 && slow ? { kind: 'stall', after: 2_500_000 } : undefined,
  );
  const environment = { HF_ENDPOINT: server.endpoint };
  const killed = runBuilt(CLI, [...command, dir], environment);
  const journal = join(dir, 'tinyllama-1.1b', `.${FILE}.part.json`);
  const kept = await until(async () => /\[\[0,(\d{7})\]\]/.exec(await readFile(journal, 'utf8'))?.[1], {
    timeoutMs: 30_000,
    message: 'the journal names what has arrived',
  });
  killed.child.kill('SIGKILL');
  await killed.ended;
  // No node takes it for a model.
  expect(await scanModels(dir)).toEqual({ models: [], rejected: [] });

  slow = false;
  const sent = server.sentBytes;
  const { code, stdout, stderr } = await runToEnd(CLI, [...command, dir], environment);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `tinyllama-1.1b: ${path()}, 3.8 MB, sha256 verified\n` });
  expect(stderr).toBe('downloading: 3.8 MB, of which 2.5 MB are there already\nverifying sha256: 3.8 MB\n');
  expect(server.sentBytes - sent).toBe(bytes.length - Number(kept) + 1);
  expect(await isComplete()).toBe(true);
  expect(await readdir(join(dir, 'tinyllama-1.1b'))).toEqual([FILE]);
  expect((await scanModels(dir)).models.map(({ info }) => info.id)).toEqual(['tinyllama-1.1b']);

  await server.close().catch(() => undefined);
  const again = await runToEnd(CLI, [...command, dir], environment);
  expect(again).toMatchObject({ code: 0, stdout: `tinyllama-1.1b: ${path()}, 3.8 MB, is complete already\n` });
});

it('Ctrl-C stops it with one line', async () => {
  const server = await startServer((request, count) =>
    request.host === 'cdn' && count > 0 ? { kind: 'stall', after: 1_000_000 } : undefined,
  );
  const running = runBuilt(CLI, [...command, dir], { HF_ENDPOINT: server.endpoint });
  await until(() => server.sentBytes > 1_000_000, { timeoutMs: 30_000, message: 'bytes arrive' });
  running.child.kill('SIGINT');
  const { code, stdout, stderr } = await running.ended;
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/\npangalactic: stopped; the same command goes on from here\n$/);
});

it('two processes at once share the work, behind a proxy', async () => {
  const server = await startServer();
  // Nobody can find this host but the proxy, which here is the server itself.
  const environment = { HF_ENDPOINT: 'http://huggingface.invalid', HTTP_PROXY: server.endpoint, NO_PROXY: '127.0.0.1' };
  const both = await Promise.all([1, 2].map(() => runToEnd(CLI, [...command, dir], environment)));
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(await isComplete()).toBe(true);
  expect(server.sentBytes).toBe(bytes.length + 1);
});

it('a catalogue id means one file and no other', async () => {
  const server = await startServer();
  const { code, stderr } = await runToEnd(CLI, ['model', 'download', 'tinyllama-1.1b', '--output-dir', dir], {
    HF_ENDPOINT: server.endpoint,
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    new RegExp(`is no longer the file that the catalogue names \\(sha256 ${sha256} instead of 9fecc3b3`),
  );
  expect(stderr).toContain(`hf:${REPOSITORY}/${FILE} downloads what is there now\n`);
});

it('a bad variable is one line', async () => {
  const { code, stdout, stderr } = await runToEnd(CLI, [...command, dir], { HF_ENDPOINT: 'nowhere' });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^pangalactic: HF_ENDPOINT="nowhere": allowed: a URL http\(s\):.*\n$/);
});

it('catalogue lists what can be downloaded by id', async () => {
  const { code, stdout } = await runToEnd(CLI, ['model', 'catalogue']);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /tinyllama-1\.1b .*669 MB .*22 .*2048 .*Q4_K_M .*Apache-2\.0 .*hf:TheBloke\/TinyLlama-1\.1B-Chat-v1\.0-GGUF/,
  );
});
