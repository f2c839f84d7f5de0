import type { Sampling } from '@pangalactic/contracts';
import { z } from 'zod';
import { samplingFields, samplingOf } from './sampling-fields';
import { invalidField } from './validation';

const MAX_STOP_STRINGS = 16;
const MAX_STOP_CHARACTERS = 1024;
const SEED_BITS = 53;
const MAX_CHOICES = 8;
const ALLOWED_CHOICES = `a whole number from 1 to ${MAX_CHOICES}`;

/** What both completion endpoints understand, defaults filled in. */
export interface GenerationOptions {
  readonly model: string;
  readonly sampling: Sampling;
  /** Completions of the same prompt. */
  readonly choices: number;
  /** Absent: as many as the context holds. */
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly seed: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const ALLOWED_STOP = `a string of 1 to ${MAX_STOP_CHARACTERS} characters or a list of up to ${MAX_STOP_STRINGS} of them`;
const stopString = z.string().min(1).max(MAX_STOP_CHARACTERS);
/** Counted before they are looked at. */
const stopStrings = z.array(z.unknown()).max(MAX_STOP_STRINGS).pipe(z.array(stopString));
const maxTokens = z.int('a whole number of at least 1').min(1, 'a whole number of at least 1').nullish();

/** OpenAI's clients send null for "not set", so every optional field takes it. */
export const generationFields = {
  model: z.string('the id of a model').min(1, 'the id of a model'),
  ...samplingFields,
  n: z.int(ALLOWED_CHOICES).min(1, ALLOWED_CHOICES).max(MAX_CHOICES, ALLOWED_CHOICES).nullish(),
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  stop: z.union([stopString.transform((stop) => [stop]), stopStrings], ALLOWED_STOP).nullish(),
  seed: z
    .number('a whole number')
    .refine((value) => Number.isInteger(value), 'a whole number')
    .nullish(),
  stream: z.boolean('true or false').nullish(),
  stream_options: z
    .looseObject({ include_usage: z.boolean('true or false').nullish() }, 'an object such as {"include_usage": true}')
    .nullish(),
};

type GenerationFields = z.output<z.ZodObject<typeof generationFields>>;

/** What an endpoint makes of fields that only it has. */
export interface EndpointOptions {
  /** Undefined when no log probabilities are wanted. */
  readonly topLogprobs: number | undefined;
  readonly defaultMaxTokens?: number;
}

export function generationOptions(
  fields: GenerationFields,
  { topLogprobs, defaultMaxTokens }: EndpointOptions,
): GenerationOptions {
  const stream = fields.stream ?? false;
  if (fields.stream_options && !stream) {
    throw invalidField('stream_options', 'left out unless "stream" is true', fields.stream_options);
  }
  return {
    model: fields.model,
    sampling: samplingOf(fields, topLogprobs),
    choices: fields.n ?? 1,
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? defaultMaxTokens,
    stop: fields.stop ?? [],
    seed: typeof fields.seed === 'number' ? foldSeed(fields.seed) : undefined,
    stream,
    includeUsage: fields.stream_options?.include_usage ?? false,
  };
}

/** Any integer, negative ones included, as one that a double holds exactly; what is exact already stays as it is. */
export function foldSeed(seed: number): number {
  return Number(BigInt.asUintN(SEED_BITS, BigInt(seed)));
}
