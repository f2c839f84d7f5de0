import type { Row } from '@pangalactic/contracts';
import type { StepPhase } from '@pangalactic/inference';
import { Ewma } from './ewma';

/** A chunk of a prompt goes alone; a decode step takes one token of each of its rows. */
export function phaseOf(rows: readonly Row[]): StepPhase {
  return rows.length === 1 && (rows[0]?.count ?? 0) > 1 ? 'prefill' : 'decode';
}

/** Mean compute times of one stage, for the planner. */
export class StepTimes {
  private readonly decodeStep = new Ewma();
  private readonly singleDecode = new Ewma();
  private readonly prefillToken = new Ewma();

  /** 0 before the first decode step. */
  get decodeStepMs(): number {
    return this.decodeStep.value ?? 0;
  }

  /** Of steps of one sequence: they compare with those of other nodes, however many sequences run. 0 before the first. */
  get singleDecodeMs(): number {
    return this.singleDecode.value ?? 0;
  }

  /** 0 before the first prefill step. */
  get prefillTokenMs(): number {
    return this.prefillToken.value ?? 0;
  }

  observe(rows: readonly Row[], computeMs: number): void {
    if (phaseOf(rows) === 'decode') {
      this.decodeStep.add(computeMs);
      if (rows.length === 1) this.singleDecode.add(computeMs);
    } else {
      this.prefillToken.add(computeMs / (rows[0]?.count ?? 1));
    }
  }
}
