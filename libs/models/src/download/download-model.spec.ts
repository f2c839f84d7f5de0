import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { ModelServer, type ModelServerFault, type SeenRequest, until } from '@pangalactic/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type DownloadOptions, type DownloadProgress, downloadModel } from './download-model';
import { type ModelSource, parseModelSource } from './model-source';
import { RETRY_POLICY } from './retry';

const REPOSITORY = 'owner/name';
const FILE = 'nano.gguf';
const FAST_RETRY = { ...RETRY_POLICY, attempts: 4, firstWaitMs: 5, longestWaitMs: 20 };
const TOKEN = 'hf_secret';
let bytes: Buffer;
let dir: string;

beforeAll(async () => {
  bytes = await readFile(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
});
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'download-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function startServer(fault?: (request: SeenRequest, count: number) => ModelServerFault | undefined) {
  const server = await ModelServer.start(fault);
  onTestFinished(() => server.close());
  server.serve(`${REPOSITORY}/${FILE}`, { bytes });
  return server;
}

function download(server: ModelServer, changes: Partial<DownloadOptions> = {}, source = sourceAt(server)) {
  return downloadModel(source, { outputDir: dir, retry: FAST_RETRY, connections: 2, ...changes });
}

const sourceAt = (server: ModelServer) => parseModelSource(`hf:${REPOSITORY}/${FILE}`, server.endpoint);
const path = () => join(dir, 'nano', FILE);
const files = () => readdir(join(dir, 'nano'));
/** Faults for the bytes alone, not for the request that asks what the file is. */
const onBytes = (fault: (count: number) => ModelServerFault | undefined) => (request: SeenRequest, count: number) =>
  request.host === 'cdn' && count > 0 ? fault(count) : undefined;

describe('downloadModel', () => {
  it('writes the file under its name, verified, and leaves nothing else', async () => {
    const server = await startServer();
    const progress: DownloadProgress[] = [];
    const result = await download(server, { onProgress: (step) => progress.push(step) });
    expect(result).toEqual({ path: path(), bytes: bytes.length, alreadyComplete: false, verified: true });
    expect(bytes.equals(await readFile(path()))).toBe(true);
    expect(await files()).toEqual([FILE]);
    expect(progress[0]).toEqual({ phase: 'receiving', bytes: 0, totalBytes: bytes.length });
    expect(progress.at(-1)).toEqual({ phase: 'verifying', bytes: bytes.length, totalBytes: bytes.length });
  });

  it('asks nobody once the file is complete', async () => {
    const server = await startServer();
    await download(server);
    const asked = server.requests.length;
    expect(await download(server)).toMatchObject({ alreadyComplete: true, bytes: bytes.length });
    expect(server.requests).toHaveLength(asked);
  });

  it.each<[string, (count: number) => ModelServerFault | undefined]>([
    ['a connection that is cut', (count) => (count < 4 ? { kind: 'cut', after: 700_000 } : undefined)],
    ['a connection that is cut before the first byte', (count) => (count < 3 ? { kind: 'cut', after: 0 } : undefined)],
    ['a connection that stalls', (count) => (count === 1 ? { kind: 'stall', after: 500_000 } : undefined)],
    ['503', (count) => (count < 3 ? { kind: 'status', status: 503 } : undefined)],
    ['429', (count) => (count === 1 ? { kind: 'status', status: 429, headers: { 'retry-after': '0' } } : undefined)],
    ['a signed address that expired', (count) => (count === 1 ? { kind: 'status', status: 403 } : undefined)],
  ])('survives %s', async (_name, fault) => {
    const server = await startServer(onBytes(fault));
    await download(server, { stallTimeoutMs: 500 });
    expect(bytes.equals(await readFile(path()))).toBe(true);
    // What had arrived was not asked for again: one byte more is the first request's.
    expect(server.sentBytes).toBeLessThanOrEqual(bytes.length + 1 + 500_000);
  });

  it('gives up after so many failures in a row, and goes on from there the next time', async () => {
    let broken = true;
    const server = await startServer(
      onBytes((count) =>
        count === 1 ? { kind: 'cut', after: 2_000_000 } : broken ? { kind: 'status', status: 502 } : undefined,
      ),
    );
    await expect(download(server)).rejects.toThrow(/^127\.0\.0\.1:\d+ answers 502, 4 times in a row$/);
    expect((await files()).sort()).toEqual([`.${FILE}.part`, `.${FILE}.part.json`]);
    broken = false;
    const before = server.sentBytes;
    const progress: DownloadProgress[] = [];
    await download(server, { onProgress: (step) => progress.push(step) });
    const [first] = progress;
    expect(first).toMatchObject({ phase: 'receiving' });
    const kept = first?.phase === 'receiving' ? first.bytes : 0;
    expect(kept).toBeGreaterThan(0);
    expect(server.sentBytes - before).toBe(bytes.length - kept + 1);
    expect(bytes.equals(await readFile(path()))).toBe(true);
  });

  it('starts anew when the server has another file by now', async () => {
    const server = await startServer(onBytes((count) => (count === 1 ? { kind: 'cut', after: 1_000_000 } : undefined)));
    await expect(download(server, { retry: { ...FAST_RETRY, attempts: 1 } })).rejects.toThrow(/times in a row/);
    const other = await readFile(join(repositoryRoot(), 'models/pangalactic-nano-q4_0.gguf'));
    server.serve(`${REPOSITORY}/${FILE}`, { bytes: other });
    await download(server);
    expect(other.equals(await readFile(path()))).toBe(true);
  });

  it('works with a server that sends no parts, from the start each time', async () => {
    const server = await startServer((request, count) =>
      request.host !== 'cdn' ? undefined : count === 1 ? { kind: 'cut', after: 1_000_000 } : { kind: 'no-ranges' },
    );
    const plain = await startServer((_request, count) => (count < 3 ? { kind: 'no-ranges' } : undefined));
    plain.serve(`${REPOSITORY}/${FILE}`, { bytes, linked: false });
    expect(await download(plain, {}, urlAt(plain))).toMatchObject({ verified: false });
    expect(plain.requests.at(-1)?.range).toBeUndefined();
    expect(bytes.equals(await readFile(path()))).toBe(true);
    await rm(path());
    await download(server);
    expect(bytes.equals(await readFile(path()))).toBe(true);
  });

  const urlAt = (server: ModelServer) => parseModelSource(sourceAt(server).url.href, 'https://huggingface.co');

  it.each<[string, (request: SeenRequest, count: number) => ModelServerFault | undefined, RegExp]>([
    [
      'wrong bytes',
      onBytes(() => ({ kind: 'corrupt' })),
      /sha256 is [0-9a-f]{64} instead of [0-9a-f]{64}: what has arrived is deleted$/,
    ],
    ['a missing file', () => ({ kind: 'status', status: 404 }), /^owner\/name has no file nano\.gguf \(404\)/],
    [
      'a gated model',
      () => ({ kind: 'status', status: 401, headers: { 'x-error-code': 'GatedRepo' } }),
      /^owner\/name is gated, and HF_TOKEN is not set \(401\): accept its licence at http:\/\/127\.0\.0\.1:\d+\/owner\/name, /,
    ],
    [
      'a redirect to nowhere',
      () => ({ kind: 'redirect', location: 'ftp://example.com/a' }),
      /redirects from http: to ftp:$/,
    ],
    ['a redirect in circles', ({ path }) => ({ kind: 'redirect', location: path }), /redirects more than 5 times$/],
    ['a server that is down', () => ({ kind: 'status', status: 500 }), /answers 500, 3 times in a row$/],
  ])('says what is wrong: %s', async (_name, fault, message) => {
    const server = await startServer(fault);
    const failure = download(server);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toMatchObject({ code: 'download_failed' });
    expect(await files()).toEqual([]);
  });

  it('compares the announced with the real length', async () => {
    const server = await startServer();
    server.serve(`${REPOSITORY}/${FILE}`, { bytes, linkedSize: bytes.length + 1 });
    await expect(download(server)).rejects.toThrow(/announces 3823521 bytes, but 127\.0\.0\.1:\d+ has 3823520$/);
  });

  it('tells a publisher that changed the file from one that did not', async () => {
    const server = await startServer();
    const source: ModelSource = { ...sourceAt(server), expected: { bytes: bytes.length, sha256: '0'.repeat(64) } };
    await expect(download(server, {}, source)).rejects.toThrow(
      /is no longer the file that the catalogue names .*: hf:owner\/name\/nano\.gguf downloads what is there now$/,
    );
  });

  it('keeps no file that is not a whole GGUF file, also where nobody knows its hash', async () => {
    const server = await startServer();
    for (const [content, message] of [
      [Buffer.from('<html>please log in</html>'), /is not a whole GGUF file: not a GGUF file/],
      [bytes.subarray(0, 2_000_000), /is not a whole GGUF file: the file is cut off/],
    ] as const) {
      server.serve(`${REPOSITORY}/${FILE}`, { bytes: content, linked: false });
      await expect(download(server, {}, urlAt(server))).rejects.toThrow(message);
      expect(await files()).toEqual([]);
    }
  });

  it('sends the token to its own origin alone', async () => {
    const server = await startServer();
    await download(server, { token: { origin: server.endpoint, value: TOKEN } });
    expect(new Set(server.requestsTo('hub').map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${TOKEN}`]),
    );
    expect(new Set(server.requestsTo('cdn').map(({ authorization }) => authorization))).toEqual(new Set([undefined]));
  });

  it('refuses a folder with another model, before it asks', async () => {
    const server = await startServer();
    await mkdir(join(dir, 'nano'));
    await writeFile(join(dir, 'nano', 'other.gguf'), '');
    await expect(download(server)).rejects.toThrow(
      /nano already holds other\.gguf: remove it, or give this model another name/,
    );
    expect(server.requests).toEqual([]);
  });

  it('lets one of two downloads do the work', async () => {
    const server = await startServer(onBytes((count) => (count === 1 ? { kind: 'stall', after: 100 } : undefined)));
    const progress: DownloadProgress[] = [];
    const first = download(server, { stallTimeoutMs: 600 });
    await until(() => server.requests.length > 0, { timeoutMs: 5_000, message: 'the first asks' });
    const second = download(server, { onProgress: (step) => progress.push(step) });
    expect((await first).alreadyComplete).toBe(false);
    expect((await second).alreadyComplete).toBe(true);
    expect(progress).toEqual([
      { phase: 'waiting', holder: expect.stringContaining(`process ${process.pid} on `) as string },
    ]);
    expect(server.sentBytes).toBe(bytes.length + 1);
  });

  it.each([
    ['of a process that is gone', JSON.stringify({ token: 'a', pid: 999_999_999, host: hostname() })],
    ['of an earlier process with our number', JSON.stringify({ token: 'a', pid: process.pid, host: hostname() })],
  ])('takes over the lock %s', async (_name, lock) => {
    const server = await startServer();
    await mkdir(join(dir, 'nano'));
    await writeFile(join(dir, 'nano', `.${FILE}.lock`), lock);
    await download(server);
    expect(await files()).toEqual([FILE]);
  });

  it('stops when it is told to, and keeps what it has', async () => {
    const server = await startServer(onBytes(() => ({ kind: 'stall', after: 1_000_000 })));
    const stop = new AbortController();
    const onProgress = (step: DownloadProgress) =>
      void (step.phase === 'receiving' && step.bytes > 900_000 && stop.abort(new Error('stopped')));
    await expect(download(server, { signal: stop.signal, onProgress })).rejects.toThrow('stopped');
    expect((await files()).sort()).toEqual([`.${FILE}.part`, `.${FILE}.part.json`]);
  });

  it('refuses a file that the disk has no room for', async () => {
    const server = await startServer();
    const huge = await startHugeFile();
    await expect(download(server, {}, parseModelSource(huge, server.endpoint, 'nano'))).rejects.toThrow(
      /nano has [\d.]+ GB free, but the download needs 9000000\.0 GB more$/,
    );
    expect((await files()).filter((name) => name.endsWith('.gguf') && !name.startsWith('.'))).toEqual([]);
  });

  it('says that the disk is full', async () => {
    const server = await startServer();
    await mkdir(join(dir, 'nano'));
    await symlink('/dev/full', join(dir, 'nano', `.${FILE}.part`));
    await expect(download(server)).rejects.toThrow(/^the disk of .*nano is full: what has arrived is kept/);
  });

  it('goes through a proxy, except where it is told not to', async () => {
    const server = await startServer();
    const proxy = await startProxy();
    const cdn = new URL(server.cdnEndpoint).host;
    await download(server, { proxy: { http: proxy.url, https: '', except: cdn } });
    expect(bytes.equals(await readFile(path()))).toBe(true);
    expect(proxy.asked.every((url) => url.startsWith(server.endpoint))).toBe(true);
    expect(proxy.asked).toHaveLength(server.requestsTo('hub').length);
  });
});

/** Says that it has 9 PB, and sends the first byte. */
async function startHugeFile(): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-0/9000000000000000', 'content-length': '1' }).end('G');
  });
  return `${await listening(server)}/${FILE}`;
}

async function startProxy(): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((incoming, outgoing) => {
    asked.push(incoming.url!);
    incoming.pipe(
      request(incoming.url!, { method: incoming.method, headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      }),
    );
  });
  return { url: await listening(server), asked };
}

async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
