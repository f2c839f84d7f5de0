import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { PangalacticError } from '@pangalactic/contracts';

interface Owner {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
}

const BEAT_MS = 2_000;
/** Without a beat for so long, the owner is taken for dead, wherever it ran. */
const SILENCE_MS = 15_000;
const POLL_MS = 200;

/** Tokens of the locks that this process holds. */
const held = new Set<string>();

/**
 * Keeps two processes from writing one file, also from two machines on one network file system: a file that names its
 * owner, who touches it as long as it lives.
 */
export class DownloadLock {
  private readonly beat: NodeJS.Timeout;

  private constructor(
    private readonly path: string,
    private readonly owner: Owner,
    private readonly lost: AbortController,
  ) {
    this.beat = setInterval(() => void this.touch(), BEAT_MS).unref();
  }

  /**
   * Waits while another live process holds it.
   * @param onWait told once, with who holds it
   */
  static async acquire(path: string, signal: AbortSignal, onWait: (holder: string) => void): Promise<DownloadLock> {
    const owner = { token: randomUUID(), pid: process.pid, host: hostname() };
    let told = false;
    while (!(await create(path, owner))) {
      const holder = await currentOwner(path);
      if (!holder) continue;
      if (!isGone(holder.owner)) {
        if (!told) onWait(`process ${holder.owner?.pid} on ${holder.owner?.host}`);
        told = true;
        if (!(await fallsSilent(path, signal))) continue;
      }
      await remove(path, holder.text);
    }
    held.add(owner.token);
    return new DownloadLock(path, owner, new AbortController());
  }

  /** Aborts if somebody took the lock away, which only a long standstill of this process can explain. */
  get lostSignal(): AbortSignal {
    return this.lost.signal;
  }

  async release(): Promise<void> {
    clearInterval(this.beat);
    held.delete(this.owner.token);
    await remove(this.path, JSON.stringify(this.owner));
  }

  private async touch(): Promise<void> {
    const holder = await currentOwner(this.path);
    if (holder?.owner?.token !== this.owner.token) {
      clearInterval(this.beat);
      this.lost.abort(new PangalacticError('download_failed', `${this.path} was taken by another process`));
      return;
    }
    const now = new Date();
    await utimes(this.path, now, now).catch(() => undefined);
  }
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(owner), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** @returns undefined if the lock is free by now */
async function currentOwner(path: string): Promise<{ owner: Owner | undefined; text: string } | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return { owner: JSON.parse(text) as Owner, text };
  } catch {
    // Written halfway by a process that then died, or is being written.
    return { owner: undefined, text };
  }
}

/** Only a process of this machine can be proved to be gone. The same number as ours is that of an earlier container. */
function isGone(owner: Owner | undefined): boolean {
  if (!owner || owner.host !== hostname()) return false;
  if (owner.pid === process.pid) return !held.has(owner.token);
  try {
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Clocks of two machines may differ, so the lock is watched instead of comparing its time with ours. */
async function fallsSilent(path: string, signal: AbortSignal): Promise<boolean> {
  const first = await modified(path);
  for (let waited = 0; waited < SILENCE_MS; waited += POLL_MS) {
    await sleep(POLL_MS, undefined, { signal });
    if ((await modified(path)) !== first) return false;
  }
  return true;
}

async function modified(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

/** Removes the lock only if it is still the one with this text: somebody else may have been faster. */
async function remove(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8')) !== text) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
