import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/** Whole cores this process may use: its CPU affinity, limited by the cgroup v2 quotas above it (containers). */
export function availableCores(): number {
  const quota = cgroupCores(readText);
  return Math.max(1, Math.floor(Math.min(availableParallelism(), quota)));
}

/** The smallest CPU quota, in cores, of the process's cgroup and its ancestors; Infinity without one. */
export function cgroupCores(read: (path: string) => string | undefined): number {
  const membership = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup') ?? '');
  let cores = Infinity;
  for (let group = membership?.[1] ?? '/'; ; group = dirname(group)) {
    const [quota, period] = (read(join('/sys/fs/cgroup', group, 'cpu.max')) ?? 'max').trim().split(' ').map(Number);
    // An unlimited group says "max 100000", which is not a number.
    if (quota && period) cores = Math.min(cores, quota / period);
    if (group === '/') return cores;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
