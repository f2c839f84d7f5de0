import { PangalacticError } from '@pangalactic/contracts';
import type { GgufHeader } from '@pangalactic/models';

/** A list with one number for each token. */
export function readTokenNumbers(
  metadata: GgufHeader['metadata'],
  name: string,
  vocabularySize: number,
): readonly number[] | undefined {
  const key = `tokenizer.ggml.${name}`;
  const value: unknown = metadata.get(key);
  if (value === undefined) return undefined;
  if (!isNumbers(value) || value.length < vocabularySize) {
    throw new PangalacticError('corrupt_model_file', `${key}: allowed: a list of ${vocabularySize} numbers`);
  }
  return value;
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((element) => typeof element === 'number');
}
