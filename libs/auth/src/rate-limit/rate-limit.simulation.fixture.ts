import { LeasedLimiter } from './leased-limiter';
import { PermitLedger } from './permit-ledger';
import { KEEPALIVE_MS } from './permit-timing';

export interface Simulation {
  readonly limit: number;
  readonly gateways: number;
  readonly seconds: number;
  /** Requests offered per minute, as a multiple of the limit. */
  readonly load: number;
  /** Fraction of the requests that the first gateway gets; the others share the rest evenly. Default: all alike. */
  readonly skew?: number;
  /** While the hub is away all gateways get alike: the worst that clients can do. */
  readonly spreadWhenAway?: boolean;
  /** Seconds between which no hub answers; then one of another term does, which knows nothing. */
  readonly hubAway?: readonly [from: number, to: number];
  readonly random: () => number;
}

export interface Outcome {
  /** The most that was admitted within any 60 s, over the limit. */
  readonly worstMinute: number;
  /** Admitted per minute after the first, over the limit. */
  readonly sustained: number;
  readonly offered: number;
  readonly admitted: number;
  /** Requests that were not decided at once. */
  readonly waited: number;
  /** That the hub was asked. */
  readonly questions: number;
}

const MINUTE_MS = 60_000;
const TICK_MS = 100;
const ROUND_TRIP_MS = 2;

/** Gateways and a hub on a virtual clock: the real limiters and ledger, with a network of fixed delay between them. */
export function simulate(simulation: Simulation): Outcome {
  const { limit, gateways, seconds, load, hubAway, random } = simulation;
  const events = new Agenda();
  const ledgers = { current: new PermitLedger(1, -MINUTE_MS) };
  const admitted: number[] = [];
  let questions = 0;
  let offered = 0;
  let waited = 0;
  const isAway = (now: number) => hubAway !== undefined && now >= hubAway[0] * 1000 && now < hubAway[1] * 1000;
  if (hubAway) {
    events.at(hubAway[1] * 1000, (now) => (ledgers.current = new PermitLedger(2, now)));
  }

  const startGateway = (index: number) => {
    const limiter = new LeasedLimiter(limit);
    let asking = false;
    let askedLast = -Infinity;
    const ask = (now: number) => {
      if (asking) return;
      const { term } = limiter;
      const demands = limiter.collect(now);
      if (demands.length === 0 && now < askedLast + KEEPALIVE_MS) return;
      asking = true;
      askedLast = now;
      questions += 1;
      events.at(now + ROUND_TRIP_MS / 2, (atHub) => {
        const answer = isAway(atHub) ? undefined : ledgers.current.lease(`gateway ${index}`, term, demands, atHub);
        events.at(atHub + ROUND_TRIP_MS / 2, (back) => {
          if (answer) limiter.settle(answer, now, back);
          else limiter.failed(back);
          asking = false;
          if (waiting > 0) ask(back);
        });
      });
    };
    let waiting = 0;
    const request = (now: number) => {
      let settled = false;
      offered += 1;
      waiting += 1;
      limiter.take('caller', now, (decision) => {
        settled = true;
        waiting -= 1;
        if (decision.admitted) admitted.push(events.now);
      });
      if (settled) return;
      waited += 1;
      ask(now);
    };
    const tick = (now: number) => {
      ask(now);
      events.at(now + TICK_MS, tick);
    };
    events.at(random() * TICK_MS, tick);
    return request;
  };

  const requests = Array.from({ length: gateways }, (_, index) => startGateway(index));
  const pick = (now: number) => {
    const { skew = 1 / gateways, spreadWhenAway } = simulation;
    const toFirst = spreadWhenAway && isAway(now) ? 1 / gateways : skew;
    return random() < toFirst ? 0 : Math.min(gateways - 1, 1 + Math.floor(random() * (gateways - 1)));
  };
  const arrive = (now: number) => {
    requests[pick(now)]!(now);
    events.at(now - (Math.log(1 - random()) * MINUTE_MS) / (limit * load), arrive);
  };
  // Once everybody has said hello.
  events.at(500, arrive);
  events.runUntil(seconds * 1000);

  const later = admitted.filter((at) => at >= MINUTE_MS).length;
  return {
    worstMinute: mostWithinAMinute(admitted) / limit,
    sustained: later / (limit * (seconds / 60 - 1)),
    offered,
    admitted: admitted.length,
    waited,
    questions,
  };
}

function mostWithinAMinute(times: readonly number[]): number {
  let most = 0;
  for (let first = 0, last = 0; last < times.length; last++) {
    while (times[last]! - times[first]! >= MINUTE_MS) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

type Action = (now: number) => void;

/** What is to happen when, as a binary heap. */
class Agenda {
  now = 0;
  private readonly heap: { at: number; order: number; action: Action }[] = [];
  private count = 0;

  at(at: number, action: Action): void {
    this.heap.push({ at, order: this.count++, action });
    for (let child = this.heap.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  runUntil(end: number): void {
    while (this.heap.length > 0 && this.heap[0]!.at < end) {
      const { at, action } = this.pop();
      this.now = at;
      action(at);
    }
  }

  private pop() {
    this.swap(0, this.heap.length - 1);
    const first = this.heap.pop()!;
    for (let parent = 0; ;) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      if (left >= this.heap.length) break;
      const child = right < this.heap.length && this.isBefore(right, left) ? right : left;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      parent = child;
    }
    return first;
  }

  private isBefore(one: number, other: number): boolean {
    const [a, b] = [this.heap[one]!, this.heap[other]!];
    return a.at === b.at ? a.order < b.order : a.at < b.at;
  }

  private swap(one: number, other: number): void {
    [this.heap[one], this.heap[other]] = [this.heap[other]!, this.heap[one]!];
  }
}
