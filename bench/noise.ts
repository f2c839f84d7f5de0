import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const BURN_MS = 500;
/** Below this, two cores of the machine are not ours at the moment. */
export const QUIET_CORES = 1.9;

const BURN = `
  const { parentPort, workerData } = require('node:worker_threads');
  const end = performance.now() + workerData;
  let count = 0;
  for (let x = 1; performance.now() < end; count++) for (let i = 0; i < 1000; i++) x = Math.imul(x, 48271) | 1;
  parentPort.postMessage(count);
`;

function burn(): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(BURN, { eval: true, workerData: BURN_MS });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** How many cores two busy loops really get, measured by what one alone gets done. */
export async function deliveredCores(): Promise<number> {
  const alone = await burn();
  const together = await Promise.all([burn(), burn()]);
  return (together[0] + together[1]) / alone;
}

const PATIENCE = { attempts: 8, pauseMs: 4_000 };

/** Waits a while for the machine to be ours. @returns the cores delivered last, which may still be too few */
export async function quietMoment(): Promise<number> {
  let cores = await deliveredCores();
  for (let attempt = 1; cores < QUIET_CORES && attempt < PATIENCE.attempts; attempt += 1) {
    await delay(PATIENCE.pauseMs);
    cores = await deliveredCores();
  }
  return cores;
}
