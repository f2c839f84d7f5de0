import type { LinkTimes } from '@pangalactic/contracts';
import type { NodeClient } from '@pangalactic/transport';

/** Of a call within one machine; below it, the clock tells nothing. */
const SHORTEST_ROUND_TRIP_MS = 0.05;
const DEADLINE_MS = 10_000;

/**
 * What the way to a neighbour takes, by reading the model's header from it, which every stage has: the shortest wait for the
 * first chunk, less what its bytes take, is the round trip; the rest tells the bandwidth.
 * @param now a monotonic clock, in milliseconds
 * @returns undefined when the header comes in a single chunk
 */
export async function probeLink(
  client: NodeClient,
  { nodeId, fingerprint, rounds }: { readonly nodeId: string; readonly fingerprint: string; readonly rounds: number },
  now: () => number,
): Promise<LinkTimes | undefined> {
  let firstChunkMs = Infinity;
  let firstChunkBytes = 0;
  let bytesPerMs = 0;
  for (let round = 0; round < rounds; round++) {
    const started = now();
    let firstAt: number | undefined;
    let bytes = 0;
    for await (const { data } of client.readModelHeader({ fingerprint }, { deadlineMs: DEADLINE_MS })) {
      if (firstAt === undefined) {
        firstAt = now();
        firstChunkBytes = data.length;
      } else bytes += data.length;
    }
    if (firstAt === undefined || bytes === 0) return undefined;
    firstChunkMs = Math.min(firstChunkMs, firstAt - started);
    bytesPerMs = Math.max(bytesPerMs, bytes / Math.max(now() - firstAt, 0.01));
  }
  const roundTripMs = Math.max(SHORTEST_ROUND_TRIP_MS, firstChunkMs - firstChunkBytes / bytesPerMs);
  return { nodeId, roundTripMs, bytesPerSecond: bytesPerMs * 1000 };
}
