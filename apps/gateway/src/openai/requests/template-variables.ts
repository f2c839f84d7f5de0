import { z } from 'zod';

const MAX_VARIABLES = 16;
const MAX_CHARACTERS = 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const ALLOWED = `an object of at most ${MAX_VARIABLES} names with values, such as {"enable_thinking": false}`;
const ALLOWED_VALUE = `true, false, null, a number or a string of at most ${MAX_CHARACTERS} characters`;

const variable = z.union(
  [z.boolean(), z.number(), z.string().max(MAX_CHARACTERS, ALLOWED_VALUE), z.null()],
  ALLOWED_VALUE,
);

/** `chat_template_kwargs` as vLLM and llama.cpp have it, for switches such as Qwen3's `enable_thinking`. */
export const templateVariablesField = z
  .record(z.string(), z.unknown(), ALLOWED)
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, ALLOWED)
  .refine((variables) => Object.keys(variables).every((name) => NAME.test(name)), ALLOWED)
  .pipe(z.record(z.string(), variable))
  .nullish();
