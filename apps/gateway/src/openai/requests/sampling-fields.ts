import type { BiasedToken, Sampling } from '@pangalactic/contracts';
import { z } from 'zod';
import { invalidField, isObject } from './validation';

const MAX_BIASED_TOKENS = 1024;
const MAX_BIAS = 100;
/** Of the field in the protocol: more than any vocabulary. */
const MAX_TOP_K = 2 ** 32 - 1;
const ALLOWED_BIAS = `an object of up to ${MAX_BIASED_TOKENS} token ids with numbers from -${MAX_BIAS} to ${MAX_BIAS}`;

const range = (min: number, max: number) => {
  const allowed = `a number from ${min} to ${max}`;
  return z.number(allowed).min(min, allowed).max(max, allowed).nullish();
};
const wholeRange = (min: number, max: number, remark = '') => {
  const allowed = `a whole number from ${min} to ${max}${remark}`;
  return z.int(allowed).min(min, allowed).max(max, allowed).nullish();
};

export const samplingFields = {
  temperature: range(0, 2),
  top_p: z
    .number('a number above 0 and up to 1')
    .gt(0, 'a number above 0 and up to 1')
    .max(1, 'a number above 0 and up to 1')
    .nullish(),
  frequency_penalty: range(-2, 2),
  presence_penalty: range(-2, 2),
  logit_bias: z.unknown().optional(),
  // Not OpenAI's: vLLM, llama.cpp and their clients know them.
  top_k: wholeRange(-1, MAX_TOP_K, ', 0 and -1 meaning all tokens'),
  min_p: range(0, 1),
  repetition_penalty: range(0.1, 10),
};

/** For the field by which an endpoint asks for log probabilities. */
export const topLogprobsField = (max: number) => wholeRange(0, max);

type SamplingFields = z.output<z.ZodObject<typeof samplingFields>>;

/**
 * @param topLogprobs undefined when no log probabilities are wanted
 * @throws PangalacticError `invalid_request`
 */
export function samplingOf(fields: SamplingFields, topLogprobs: number | undefined): Sampling {
  return {
    temperature: fields.temperature ?? 1,
    topP: fields.top_p ?? 1,
    topK: Math.max(0, fields.top_k ?? 0),
    minP: fields.min_p ?? 0,
    repetitionPenalty: fields.repetition_penalty ?? 1,
    frequencyPenalty: fields.frequency_penalty ?? 0,
    presencePenalty: fields.presence_penalty ?? 0,
    logitBias: { tokens: biasedTokens(fields.logit_bias) },
    topLogprobs,
  };
}

/** Whether the vocabulary has the tokens is for the model to say. */
function biasedTokens(value: unknown): BiasedToken[] {
  if (value === undefined || value === null) return [];
  if (!isObject(value) || Object.keys(value).length > MAX_BIASED_TOKENS) {
    throw invalidField('logit_bias', ALLOWED_BIAS, value);
  }
  return Object.entries(value).map(([id, bias]) => {
    if (!/^(0|[1-9]\d{0,8})$/.test(id)) throw invalidField('logit_bias', ALLOWED_BIAS, value);
    if (typeof bias !== 'number' || Math.abs(bias) > MAX_BIAS) {
      throw invalidField(`logit_bias.${id}`, `a number from -${MAX_BIAS} to ${MAX_BIAS}`, bias);
    }
    return { id: Number(id), bias };
  });
}
