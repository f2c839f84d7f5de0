import { setTimeout as delay } from 'node:timers/promises';
import type { NodeClient } from '@pangalactic/transport';
import { describe, expect, it } from 'vitest';
import { probeLink } from './link-probe';

/** Answers after a round trip, then a chunk per millisecond, on a clock of its own. */
function scripted(roundTripsMs: number[], chunks: number[]): { client: NodeClient; now: () => number } {
  let clock = 1_000;
  const readModelHeader = async function* () {
    await delay(0);
    clock += roundTripsMs.shift()!;
    for (const [index, size] of chunks.entries()) {
      if (index > 0) clock += 1;
      yield { data: new Uint8Array(size) };
    }
  };
  return { client: { readModelHeader } as unknown as NodeClient, now: () => clock };
}

describe('probeLink', () => {
  const target = { nodeId: 'b', fingerprint: 'f', rounds: 3 };

  it('takes the shortest round trip, and the bandwidth from what follows the first chunk', async () => {
    const { client, now } = scripted([50, 4, 6], [1_000, 2_000, 2_000]);
    expect(await probeLink(client, target, now)).toEqual({ nodeId: 'b', roundTripMs: 3.5, bytesPerSecond: 2e6 });
  });

  it('says nothing of a link when the header is a single chunk', async () => {
    const { client, now } = scripted([5, 5, 5], [1_000]);
    expect(await probeLink(client, target, now)).toBeUndefined();
  });
});
