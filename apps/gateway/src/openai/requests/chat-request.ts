import { z } from 'zod';
import { chatMessages, messagesField } from './chat-messages';
import type { ChatMessage } from './chat-messages';
import { generationFields, generationOptions } from './generation-fields';
import type { GenerationOptions } from './generation-fields';
import { refuseUnsupported, UNSUPPORTED_CHAT_FIELDS } from './unsupported-fields';
import { validate } from './validation';

export interface ChatRequest extends GenerationOptions {
  readonly messages: readonly ChatMessage[];
}

const chatSchema = z.looseObject({ ...generationFields, messages: messagesField });

/** @throws PangalacticError `invalid_request` or `unsupported_parameter`, naming the field */
export function parseChatRequest(body: unknown): ChatRequest {
  refuseUnsupported(body, UNSUPPORTED_CHAT_FIELDS);
  const fields = validate(chatSchema, body);
  return { ...generationOptions(fields), messages: chatMessages(fields.messages) };
}
