import { PangalacticError, type Sampling } from '@pangalactic/contracts';

export const MAX_BIASED_TOKENS = 1024;
export const MAX_TOP_LOGPROBS = 20;

type NumberField = {
  [Field in keyof Sampling]-?: Sampling[Field] extends number | undefined ? Field : never;
}[keyof Sampling];

interface Limit {
  readonly field: NumberField;
  /** Name in the message. */
  readonly name: string;
  readonly accepts: (value: number) => boolean;
  readonly allowed: string;
}

const between = (min: number, max: number) => (value: number) => value >= min && value <= max;
const penalty = { accepts: between(-2, 2), allowed: '-2 to 2' };

/** What keeps the sampler's arithmetic finite. A float32 of the wire holds every bound exactly or errs to its inside. */
const LIMITS: readonly Limit[] = [
  {
    field: 'temperature',
    name: 'temperature',
    accepts: (value) => value >= 0 && value < Infinity,
    allowed: '0 or more',
  },
  { field: 'topP', name: 'top_p', accepts: (value) => value > 0 && value <= 1, allowed: 'above 0, up to 1' },
  { field: 'minP', name: 'min_p', accepts: between(0, 1), allowed: '0 to 1' },
  { field: 'repetitionPenalty', name: 'repetition_penalty', accepts: between(0.1, 10), allowed: '0.1 to 10' },
  { field: 'frequencyPenalty', name: 'frequency_penalty', ...penalty },
  { field: 'presencePenalty', name: 'presence_penalty', ...penalty },
  {
    field: 'topLogprobs',
    name: 'top_logprobs',
    accepts: between(0, MAX_TOP_LOGPROBS),
    allowed: `0 to ${MAX_TOP_LOGPROBS}`,
  },
];

/** @throws PangalacticError `invalid_request`, naming the field, its value and what is allowed */
export function requireSampling(sampling: Sampling, vocabSize: number): void {
  for (const { field, name, accepts, allowed } of LIMITS) {
    const value = sampling[field];
    if (value !== undefined && !accepts(value)) throw invalid(name, `is ${value}: allowed is ${allowed}`);
  }
  const biased = sampling.logitBias?.tokens ?? [];
  if (biased.length > MAX_BIASED_TOKENS) {
    throw invalid('logit_bias', `has ${biased.length} tokens: allowed are up to ${MAX_BIASED_TOKENS}`);
  }
  for (const { id, bias } of biased) {
    if (id >= vocabSize) throw invalid('logit_bias', `has token ${id}: allowed are 0 to ${vocabSize - 1}`);
    if (!between(-100, 100)(bias)) throw invalid('logit_bias', `of token ${id} is ${bias}: allowed is -100 to 100`);
  }
}

function invalid(field: string, problem: string): PangalacticError {
  return new PangalacticError('invalid_request', `${field} ${problem}`, { param: field });
}
