import { PangalacticError } from '@pangalactic/contracts';
import type { StepInput } from '../inference-provider';

export interface StepInputShape {
  /** Only the head takes token ids; every other stage takes hidden states. */
  readonly isHead: boolean;
  readonly vocabSize: number;
  readonly hiddenSize: number;
}

/**
 * Checks that a step carries exactly the input its rows promise: a native run would read past the buffer otherwise.
 * @returns the step's tokens
 */
export function checkStepInput(step: StepInput, shape: StepInputShape): number {
  const tokens = step.rows.reduce((sum, row) => sum + row.count, 0);
  if (shape.isHead) {
    const ids = step.tokenIds;
    if (ids?.length !== tokens) throw invalidFrame(`a step of ${tokens} tokens carries ${ids?.length ?? 'no'} ids`);
    for (const id of ids) {
      if (id >= shape.vocabSize) throw invalidFrame(`token id ${id}: allowed are 0 to ${shape.vocabSize - 1}`);
    }
  } else if (step.hidden?.length !== tokens * shape.hiddenSize) {
    throw invalidFrame(
      `a step of ${tokens} tokens carries ${step.hidden?.length ?? 'no'} hidden values, not ${tokens} x ${shape.hiddenSize}`,
    );
  }
  return tokens;
}

function invalidFrame(message: string): PangalacticError {
  return new PangalacticError('invalid_frame', message);
}
