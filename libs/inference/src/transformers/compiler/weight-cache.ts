import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What the cache keeps besides the files in use. */
export const MAX_UNUSED_BYTES = 16 * 2 ** 30;
/** Whoever uses or writes a file gives it a new time this often: */
const TOUCH_INTERVAL_MS = 20_000;
/** an older one has no user. */
const UNUSED_AFTER_MS = 120_000;

const FOLDER = /^[0-9a-f]{64}-v\d+$/;
const FILE = /\.weights$/;
const TEMPORARY = /\.weights\.[0-9a-f-]{36}\.tmp$/;

interface UnusedFile {
  readonly path: string;
  readonly bytes: number;
  readonly usedAt: number;
}

/**
 * Files of packed weights, in a directory that several processes may share. The times of the files tell who needs what:
 * process ids would not, as processes in containers do not see each other.
 */
export class WeightCache {
  private readonly inUse = new Set<string>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly directory: string,
    private readonly maxUnusedBytes = MAX_UNUSED_BYTES,
  ) {}

  folder(fingerprint: string, packingVersion: number): string {
    return join(this.directory, `${fingerprint}-v${packingVersion}`);
  }

  /** Has a file written unless it is there, and keeps it until this cache is closed. */
  async ensure(path: string, bytes: number, write: (handle: FileHandle) => Promise<void>): Promise<void> {
    this.use(path);
    // Before the look at it: from now on nobody takes it for unused.
    await touch(path);
    if (!(await hasSize(path, bytes))) await this.create(path, write);
  }

  /** Removes what dead processes left half written and, beyond the limit, the files that were not used for longest. */
  async sweep(): Promise<void> {
    const folders = (await list(this.directory))
      .filter((name) => FOLDER.test(name))
      .map((name) => join(this.directory, name));
    const unused = (await Promise.all(folders.map((folder) => this.unusedFiles(folder)))).flat();
    let bytes = 0;
    for (const file of unused.sort((a, b) => b.usedAt - a.usedAt)) {
      const temporary = TEMPORARY.test(file.path);
      if (!temporary) bytes += file.bytes;
      if (temporary || bytes > this.maxUnusedBytes) await ignoringErrors(rm(file.path, { force: true }));
    }
    // Those with files in them refuse.
    for (const folder of folders) if (await isUnused(folder)) await ignoringErrors(rmdir(folder));
  }

  close(): void {
    clearInterval(this.timer);
    this.inUse.clear();
  }

  /** Written beside and renamed, so that a crash leaves no half file under the name. */
  private async create(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${randomUUID()}.tmp`;
    this.use(temporary);
    try {
      const handle = await open(temporary, 'wx');
      try {
        await write(handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      this.inUse.delete(temporary);
    }
  }

  private use(path: string): void {
    this.inUse.add(path);
    this.timer ??= setInterval(() => this.inUse.forEach((each) => void touch(each)), TOUCH_INTERVAL_MS).unref();
  }

  private async unusedFiles(folder: string): Promise<UnusedFile[]> {
    const unused: UnusedFile[] = [];
    for (const name of await list(folder)) {
      const path = join(folder, name);
      if (this.inUse.has(path) || !(FILE.test(name) || TEMPORARY.test(name))) continue;
      const stats = await stat(path).catch(() => undefined);
      if (stats && isOld(stats.mtimeMs)) unused.push({ path, bytes: stats.size, usedAt: stats.mtimeMs });
    }
    return unused;
  }
}

/** In a directory of somebody else's this may be forbidden; then they keep the time. */
async function touch(path: string): Promise<void> {
  const now = new Date();
  await ignoringErrors(utimes(path, now, now));
}

async function hasSize(path: string, bytes: number): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.size === bytes;
}

async function isUnused(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats !== undefined && isOld(stats.mtimeMs);
}

function isOld(time: number): boolean {
  return Date.now() - time > UNUSED_AFTER_MS;
}

async function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

/** Nothing here is worth failing a load for. */
async function ignoringErrors(work: Promise<void>): Promise<void> {
  await work.catch(() => undefined);
}
