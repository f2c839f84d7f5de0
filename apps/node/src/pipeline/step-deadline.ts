import type { HeadStep, StepPhase } from '@pangalactic/inference';
import { Ewma } from './ewma';

export interface StepDeadlineOptions {
  /** No step gets less: a busy machine may not run us for a while. */
  readonly floorMs: number;
  /** Before the first measurement, when weights may still come from the disk. */
  readonly initialMs: number;
  /** Times the expected latency. */
  readonly margin: number;
}

export const STEP_DEADLINE = Symbol('StepDeadlineOptions');
export const DEFAULT_STEP_DEADLINE: StepDeadlineOptions = { floorMs: 5_000, initialMs: 60_000, margin: 10 };

/** What a step costs before its first token, in tokens of its kind (docs/decisions/004-batching.md has the times). */
const STEP_COST: Readonly<Record<StepPhase, number>> = { prefill: 14, decode: 3 };

/** What a step has to wait for until its result is there: the cost of the largest step of each kind, in tokens. */
export type StepLoad = Readonly<Partial<Record<StepPhase, number>>>;

/**
 * Steps of both kinds fill the stages: one that is sent into a full pipeline stays as long as the largest of its own kind
 * takes through all stages, and waits in front of each for one of the other kind at most.
 * @param inFlight the step and those before it without a result
 */
export function stepLoad(inFlight: readonly Pick<HeadStep, 'phase' | 'tokenIds'>[]): StepLoad {
  const load: Partial<Record<StepPhase, number>> = {};
  for (const { phase, tokenIds } of inFlight) {
    load[phase] = Math.max(load[phase] ?? 0, STEP_COST[phase] + tokenIds.length);
  }
  return load;
}

/**
 * How long a step may take, from when it is sent until its result is there, before its pipeline counts as broken. Learnt
 * from the same latency of the steps before, scaled with what was in flight.
 */
export class StepDeadline {
  private readonly msPerToken: Readonly<Record<StepPhase, Ewma>> = { prefill: new Ewma(), decode: new Ewma() };

  constructor(private readonly options: StepDeadlineOptions) {}

  /** A latency does not tell which kind of step it came from: what is known already keeps its proportions. */
  observe(load: StepLoad, latencyMs: number): void {
    const expected = this.expectedMs(load);
    for (const [phase, tokens] of entries(load)) {
      const known = this.msPerToken[phase].value;
      if (!known) this.msPerToken[phase].add(latencyMs / tokens);
      else if (expected) this.msPerToken[phase].add((known * latencyMs) / expected);
    }
  }

  allowedMs(load: StepLoad): number {
    const expected = this.expectedMs(load);
    return expected === undefined
      ? this.options.initialMs
      : Math.max(this.options.floorMs, this.options.margin * expected);
  }

  /** Undefined before the first measurement of each kind of step. */
  private expectedMs(load: StepLoad): number | undefined {
    let expected = 0;
    for (const [phase, tokens] of entries(load)) {
      const msPerToken = this.msPerToken[phase].value;
      if (msPerToken === undefined) return undefined;
      expected += msPerToken * tokens;
    }
    return expected;
  }
}

function entries(load: StepLoad): [StepPhase, number][] {
  return Object.entries(load) as [StepPhase, number][];
}
