import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, type LocalCluster, ProcessFailure } from '@pangalactic/testing';

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** A process that ran this long failed anew, not again. */
const STABLE_MS = 60_000;

export function restartDelayMs(failuresInARow: number): number {
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failuresInARow - 1));
}

/** Failures in a row of a process that never served: another start would not help. */
const MAX_FAILURES_AT_START = 3;

export interface KeepRunningOptions {
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
  /** Whether the cluster has served since the process was first started. */
  readonly hasServed: () => boolean;
}

/**
 * Starts a process again whenever it ends, until the signal aborts.
 * @throws ProcessFailure when the process cannot be started
 */
export async function keepRunning(
  cluster: LocalCluster,
  name: string,
  { signal, log, hasServed }: KeepRunningOptions,
): Promise<void> {
  for (let failures = 0; ;) {
    const startedAt = performance.now();
    const process = cluster.process(name);
    const exit = await process.exited;
    if (signal.aborted) return;
    failures = performance.now() - startedAt > STABLE_MS ? 1 : failures + 1;
    if (failures >= MAX_FAILURES_AT_START && !hasServed()) throw ProcessFailure.ofEnded(process, exit);
    const delay = restartDelayMs(failures);
    log(`${name} ${describeExit(exit)}, starting again in ${delay / 1000} s (log: ${process.logPath})`);
    await sleep(delay, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    log(`${name} started again (process ${cluster.start(name).pid})`);
  }
}
