import { z } from 'zod';
import { invalidField } from './validation';

const MAX_STOP_STRINGS = 16;
const MAX_STOP_CHARACTERS = 1024;
const SEED_BITS = 53;

/** What both completion endpoints understand, defaults filled in. */
export interface GenerationOptions {
  readonly model: string;
  readonly temperature: number;
  readonly topP: number;
  /** Absent: as many as the context holds. */
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly seed: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const ALLOWED_STOP = `a string of 1 to ${MAX_STOP_CHARACTERS} characters or a list of up to ${MAX_STOP_STRINGS} of them`;
const stopString = z.string().min(1).max(MAX_STOP_CHARACTERS);
const maxTokens = z.int('a whole number of at least 1').min(1, 'a whole number of at least 1').nullish();

/** OpenAI's clients send null for "not set", so every optional field takes it. */
export const generationFields = {
  model: z.string('the id of a model').min(1, 'the id of a model'),
  temperature: z.number('a number from 0 to 2').min(0, 'a number from 0 to 2').max(2, 'a number from 0 to 2').nullish(),
  top_p: z
    .number('a number above 0 and up to 1')
    .gt(0, 'a number above 0 and up to 1')
    .max(1, 'a number above 0 and up to 1')
    .nullish(),
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  stop: z
    .union([stopString.transform((stop) => [stop]), z.array(stopString).max(MAX_STOP_STRINGS)], ALLOWED_STOP)
    .nullish(),
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

export function generationOptions(fields: GenerationFields, defaultMaxTokens?: number): GenerationOptions {
  const stream = fields.stream ?? false;
  if (fields.stream_options && !stream) {
    throw invalidField('stream_options', 'left out unless "stream" is true', fields.stream_options);
  }
  return {
    model: fields.model,
    temperature: fields.temperature ?? 1,
    topP: fields.top_p ?? 1,
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
