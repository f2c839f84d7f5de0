import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PangalacticError } from '@pangalactic/contracts';
import { EnvHttpProxyAgent } from 'undici';
import { GgufFile } from '../gguf/gguf-file';
import { coveredBytes } from './byte-ranges';
import { demandSpace, describeFullDisk } from './disk-space';
import { DownloadLock } from './download-lock';
import type { ModelSource } from './model-source';
import { PartFile } from './part-file';
import { printable } from './refusal';
import { type AccessToken, RemoteFile, type RemoteFileInfo } from './remote-file';
import { RETRY_POLICY, type RetryPolicy, withRetries } from './retry';
import { Transfer } from './transfer';
import { TransferError } from './transfer-error';

export interface DownloadOptions {
  /** The model gets a folder in it. */
  readonly outputDir: string;
  readonly token?: AccessToken | undefined;
  /** Empty: none. */
  readonly proxy?: { readonly http: string; readonly https: string; readonly except: string };
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
  readonly connections?: number;
  /** Without a byte for so long, a connection is given up. */
  readonly stallTimeoutMs?: number;
  readonly retry?: RetryPolicy;
}

export type DownloadProgress =
  | { readonly phase: 'waiting'; readonly holder: string }
  | { readonly phase: 'receiving' | 'verifying'; readonly bytes: number; readonly totalBytes: number };

export interface DownloadedModel {
  readonly path: string;
  readonly bytes: number;
  /** It was there before, under its final name, which a file gets only after it was verified. */
  readonly alreadyComplete: boolean;
  /** The server said what the hash must be, and it is. */
  readonly verified: boolean;
}

const CONNECTIONS = 8;
const CONNECT_TIMEOUT_MS = 15_000;
const STALL_TIMEOUT_MS = 30_000;
/** Before anything has arrived, a failure is more likely a wrong name or a missing proxy than a bad moment. */
const FIRST_ATTEMPTS = 3;

/**
 * Writes `<outputDir>/<id>/<file>`. The file has that name only once it is complete and verified; until then it is a
 * hidden one beside it, with which the next call goes on, however this one ended.
 * @throws PangalacticError `download_failed` that says what to do
 */
export async function downloadModel(source: ModelSource, options: DownloadOptions): Promise<DownloadedModel> {
  const folder = join(options.outputDir, source.id);
  try {
    return await new Download(source, options, folder).run();
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof TransferError) throw failed(error.message, error);
    throw describeFullDisk(error, folder) ?? error;
  }
}

class Download {
  private readonly path: string;

  constructor(
    private readonly source: ModelSource,
    private readonly options: DownloadOptions,
    private readonly folder: string,
  ) {
    this.path = join(folder, source.file);
  }

  async run(): Promise<DownloadedModel> {
    await mkdir(this.folder, { recursive: true });
    const complete = await this.completeFile();
    if (complete) return complete;
    const signal = this.options.signal ?? new AbortController().signal;
    const lock = await DownloadLock.acquire(this.hidden('lock'), signal, (holder) =>
      this.report({ phase: 'waiting', holder }),
    );
    try {
      return (await this.completeFile()) ?? (await this.fetch(AbortSignal.any([signal, lock.lostSignal])));
    } finally {
      await lock.release();
    }
  }

  /** @throws PangalacticError if the folder holds something else: nodes take one file per folder */
  private async completeFile(): Promise<DownloadedModel | undefined> {
    const { source, path } = this;
    const others = (await readdir(this.folder)).filter((name) => name.endsWith('.gguf') && !name.startsWith('.'));
    const other = others.find((name) => name !== source.file);
    if (other)
      throw failed(`${this.folder} already holds ${other}: remove it, or give this model another name with --id`);
    if (others.length === 0) return undefined;
    const { size: bytes } = await stat(path);
    if (bytes !== (source.expected.bytes ?? bytes)) {
      throw failed(`${path} has ${bytes} bytes instead of ${source.expected.bytes}: remove it to download it again`);
    }
    return { path, bytes, alreadyComplete: true, verified: false };
  }

  private async fetch(signal: AbortSignal): Promise<DownloadedModel> {
    const dispatcher = createDispatcher(this.options);
    try {
      const remote = new RemoteFile(this.source, dispatcher, this.options.token);
      const retry = this.options.retry ?? RETRY_POLICY;
      const first = { ...retry, attempts: Math.min(retry.attempts, FIRST_ATTEMPTS) };
      const file = await withRetries(() => remote.describe(signal), first, signal);
      const sha256 = this.expectedHash(file);
      const part = await PartFile.open(this.hidden('part'), file);
      try {
        await this.receive(remote, file, part, signal);
        await this.verify(part, file, sha256, signal);
      } finally {
        await part.close();
      }
      await part.moveTo(this.path);
      await syncFolder(dirname(this.path));
      return { path: this.path, bytes: file.bytes, alreadyComplete: false, verified: sha256 !== undefined };
    } finally {
      await dispatcher.destroy();
    }
  }

  private expectedHash(file: RemoteFileInfo): string | undefined {
    const { expected, url, repository } = this.source;
    if (expected.sha256 !== undefined && file.sha256 !== undefined && expected.sha256 !== file.sha256) {
      throw failed(
        `${printable(url)} is no longer the file that the catalogue names (sha256 ${file.sha256} instead of ` +
          `${expected.sha256}): hf:${repository}/${this.source.file} downloads what is there now`,
      );
    }
    return expected.sha256 ?? file.sha256;
  }

  private async receive(remote: RemoteFile, file: RemoteFileInfo, part: PartFile, signal: AbortSignal): Promise<void> {
    const report = () =>
      this.report({ phase: 'receiving', bytes: coveredBytes(part.received), totalBytes: file.bytes });
    report();
    await demandSpace(this.folder, file.bytes - coveredBytes(part.received));
    const { connections = CONNECTIONS, retry = RETRY_POLICY } = this.options;
    await new Transfer(remote, file, part, { connections, retry, onReceived: report, signal }).run();
  }

  /** What fails here would fail again with the same bytes, so they are thrown away. */
  private async verify(part: PartFile, file: RemoteFileInfo, sha256: string | undefined, signal: AbortSignal) {
    const found = sha256 === undefined ? undefined : await this.hash(part.path, file.bytes, signal);
    if (found !== sha256) {
      await part.discard();
      throw failed(
        `${printable(this.source.url)}: sha256 is ${found} instead of ${sha256}: what has arrived is deleted`,
      );
    }
    try {
      await (await GgufFile.open(part.path)).close();
    } catch (error) {
      await part.discard();
      const reason = (error as Error).message.replace(`${part.path}: `, '');
      throw failed(`${printable(this.source.url)} is not a whole GGUF file: ${reason}`, error);
    }
  }

  private async hash(path: string, totalBytes: number, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 ** 2, signal }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      this.report({ phase: 'verifying', bytes, totalBytes });
    }
    return hash.digest('hex');
  }

  /** Scans of the folder skip hidden files. */
  private hidden(suffix: string): string {
    return join(this.folder, `.${this.source.file}.${suffix}`);
  }

  private report(progress: DownloadProgress): void {
    this.options.onProgress?.(progress);
  }
}

function createDispatcher({ proxy, stallTimeoutMs = STALL_TIMEOUT_MS }: DownloadOptions): EnvHttpProxyAgent {
  return new EnvHttpProxyAgent({
    // Always given, so that undici does not look for them in the environment itself.
    httpProxy: proxy?.http ?? '',
    httpsProxy: proxy?.https ?? '',
    noProxy: proxy?.except ?? '',
    // As other programs do: only TLS goes through a tunnel. Many proxies allow CONNECT to port 443 alone.
    proxyTunnel: false,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: stallTimeoutMs,
    bodyTimeout: stallTimeoutMs,
  });
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function failed(message: string, cause?: unknown): PangalacticError {
  return new PangalacticError('download_failed', message, { cause });
}
