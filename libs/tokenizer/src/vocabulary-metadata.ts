import { PangalacticError } from '@pangalactic/contracts';
import type { GgufHeader, MetadataReader } from '@pangalactic/models';

/** What SentencePiece vocabularies mean when their metadata does not say. */
const DEFAULT_IDS = { bos: 1, eos: 2, unknown: 0 };

/** Converters write -1 for "none": an id outside the vocabulary counts as absent. */
export function readTokenId(
  metadata: MetadataReader,
  name: keyof typeof DEFAULT_IDS,
  vocabularySize: number,
): number | undefined {
  const candidates = [metadata.number(`tokenizer.ggml.${name}_token_id`), DEFAULT_IDS[name]];
  return candidates.find((id) => id !== undefined && Number.isInteger(id) && id >= 0 && id < vocabularySize);
}

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
