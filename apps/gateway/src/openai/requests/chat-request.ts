import type { TemplateVariables } from '@pangalactic/tokenizer';
import { z } from 'zod';
import { chatMessages, messagesField } from './chat-messages';
import type { ChatMessage } from './chat-messages';
import { generationFields, generationOptions } from './generation-fields';
import type { GenerationOptions } from './generation-fields';
import { topLogprobsField } from './sampling-fields';
import { templateVariablesField } from './template-variables';
import { refuseUnsupported, UNSUPPORTED_CHAT_FIELDS } from './unsupported-fields';
import { invalidField, validate } from './validation';

export interface ChatRequest extends GenerationOptions {
  readonly messages: readonly ChatMessage[];
  /** For the model's chat template. */
  readonly variables: TemplateVariables;
}

const MAX_TOP_LOGPROBS = 20;

const chatSchema = z.looseObject({
  ...generationFields,
  logprobs: z.boolean('true or false').nullish(),
  top_logprobs: topLogprobsField(MAX_TOP_LOGPROBS),
  messages: messagesField,
  chat_template_kwargs: templateVariablesField,
});

/** @throws PangalacticError `invalid_request` or `unsupported_parameter`, naming the field */
export function parseChatRequest(body: unknown): ChatRequest {
  refuseUnsupported(body, UNSUPPORTED_CHAT_FIELDS);
  const fields = validate(chatSchema, body);
  const topLogprobs = fields.top_logprobs ?? 0;
  if (topLogprobs > 0 && !fields.logprobs) {
    throw invalidField('top_logprobs', 'left out unless "logprobs" is true', topLogprobs);
  }
  return {
    ...generationOptions(fields, { topLogprobs: fields.logprobs ? topLogprobs : undefined }),
    messages: chatMessages(fields.messages),
    variables: fields.chat_template_kwargs ?? {},
  };
}
