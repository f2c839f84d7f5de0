import { z } from 'zod';
import type { Prompt } from '../../generation/prompt';
import { generationFields, generationOptions } from './generation-fields';
import type { GenerationOptions } from './generation-fields';
import { topLogprobsField } from './sampling-fields';
import { refuseUnsupported, UNSUPPORTED_COMPLETION_FIELDS } from './unsupported-fields';
import { invalidField, unsupportedField, validate } from './validation';

export interface CompletionRequest extends GenerationOptions {
  readonly prompt: Prompt;
}

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;
const ALLOWED_PROMPT = 'a string, a list of token ids, or a list with one of these';

const MAX_TOP_LOGPROBS = 5;

const completionSchema = z.looseObject({
  ...generationFields,
  logprobs: topLogprobsField(MAX_TOP_LOGPROBS),
  prompt: z.unknown().optional(),
});

/** @throws PangalacticError `invalid_request` or `unsupported_parameter`, naming the field */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  refuseUnsupported(body, UNSUPPORTED_COMPLETION_FIELDS);
  const fields = validate(completionSchema, body);
  const topLogprobs = fields.logprobs ?? undefined;
  return {
    ...generationOptions(fields, { topLogprobs, defaultMaxTokens: DEFAULT_MAX_TOKENS }),
    prompt: onePrompt(fields.prompt),
  };
}

function onePrompt(prompt: unknown): Prompt {
  const single = singlePrompt(prompt);
  if (single) return single;
  if (!Array.isArray(prompt) || prompt.length === 0) throw invalidField('prompt', ALLOWED_PROMPT, prompt);
  const prompts = prompt.map(singlePrompt);
  const [first] = prompts;
  if (!first || prompts.includes(undefined)) throw invalidField('prompt', ALLOWED_PROMPT, prompt);
  if (prompts.length > 1) throw unsupportedField('prompt', prompt, 'one prompt per request');
  return first;
}

function singlePrompt(value: unknown): Prompt | undefined {
  if (typeof value === 'string') return { kind: 'text', text: value };
  if (!Array.isArray(value) || value.length === 0) return undefined;
  return value.every(isTokenId) ? { kind: 'tokens', ids: value } : undefined;
}

/** Whether the vocabulary has it is for the model to say. */
function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
