import { PangalacticError } from '@pangalactic/contracts';
import type { Sampling } from '@pangalactic/contracts';

/** @throws PangalacticError `invalid_request` for a token that the vocabulary lacks */
export function requireKnownBias({ logitBias }: Sampling, vocabSize: number): void {
  const unknown = logitBias?.tokens.find(({ id }) => id >= vocabSize);
  if (!unknown) return;
  const message = `'logit_bias' must have token ids from 0 to ${vocabSize - 1}, not ${unknown.id}.`;
  throw new PangalacticError('invalid_request', message, { param: 'logit_bias' });
}
