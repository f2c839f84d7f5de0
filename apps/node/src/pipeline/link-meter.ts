import { setTimeout as delay } from 'node:timers/promises';
import type { LinkTimes } from '@pangalactic/contracts';
import { Ewma } from './ewma';

const FIRST_ROUNDS = 3;
/** Reads a model's header once: what it takes of the link must not matter. */
const LATER_ROUNDS = 1;
const REPEAT_AFTER_MS = 300_000;

/** The times of a link, measured when it is joined and from time to time after that: networks change, and so does what shares them. */
export class LinkMeter {
  private readonly roundTripMs = new Ewma();
  private readonly bytesPerSecond = new Ewma();
  private nodeId = '';

  /** @param measure resolves with undefined when the link cannot be measured */
  constructor(
    private readonly measure: (rounds: number) => Promise<LinkTimes | undefined>,
    private readonly repeatAfterMs = REPEAT_AFTER_MS,
  ) {}

  /** Undefined until it is measured: then the link counts as any other. */
  get times(): LinkTimes | undefined {
    const { nodeId } = this;
    const roundTripMs = this.roundTripMs.value;
    const bytesPerSecond = this.bytesPerSecond.value;
    if (roundTripMs === undefined || bytesPerSecond === undefined) return undefined;
    return { nodeId, roundTripMs, bytesPerSecond };
  }

  /** Until the signal aborts. Never rejects: the hop tells when the link is gone. */
  async run(signal: AbortSignal): Promise<void> {
    for (let rounds = FIRST_ROUNDS; !signal.aborted; rounds = LATER_ROUNDS) {
      const measured = await this.measure(rounds).catch(() => undefined);
      if (measured) this.add(measured);
      // Not all links of a cluster at once.
      const wait = this.repeatAfterMs * (0.75 + Math.random() / 2);
      await delay(wait, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private add({ nodeId, roundTripMs, bytesPerSecond }: LinkTimes): void {
    this.nodeId = nodeId;
    this.roundTripMs.add(roundTripMs);
    this.bytesPerSecond.add(bytesPerSecond);
  }
}
