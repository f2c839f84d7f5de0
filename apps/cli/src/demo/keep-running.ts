import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, type LocalCluster } from '@pangalactic/testing';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** A process that ran this long failed anew, not again. */
const STABLE_MS = 60_000;

export function restartDelayMs(failuresInARow: number): number {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failuresInARow - 1));
}

/** Starts a process again whenever it ends, until the signal aborts. */
export async function keepRunning(
  cluster: LocalCluster,
  name: string,
  signal: AbortSignal,
  log: (message: string) => void,
): Promise<void> {
  for (let failures = 0; ;) {
    const startedAt = performance.now();
    const process = cluster.process(name);
    const exit = await process.exited;
    if (signal.aborted) return;
    failures = performance.now() - startedAt > STABLE_MS ? 1 : failures + 1;
    const delay = restartDelayMs(failures);
    log(`${name} ${describeExit(exit)}, starting again in ${delay / 1000} s (log: ${process.logPath})`);
    await sleep(delay, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    log(`${name} started again (process ${cluster.start(name).pid})`);
  }
}
