import { z } from 'zod';
import { invalidField, isObject, unsupportedField } from './validation';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** As OpenAI has it: a template takes microseconds for each. */
const MAX_MESSAGES = 2048;
const SUPPORTED_ROLES = ['system', 'developer', 'user', 'assistant'] as const;
const UNSUPPORTED_ROLES = ['tool', 'function'] as const;
const ROLES = [...SUPPORTED_ROLES, ...UNSUPPORTED_ROLES];
const ALLOWED_CONTENT = 'a string or a list of text parts such as {"type": "text", "text": "Hello"}';

const message = z.looseObject(
  {
    role: z.enum(ROLES, `one of ${SUPPORTED_ROLES.map((role) => `"${role}"`).join(', ')}`),
    content: z.unknown().optional(),
  },
  'an object with "role" and "content"',
);

/** Counted before they are looked at. */
export const messagesField = z
  .array(z.unknown(), 'a list of messages')
  .min(1, 'a list of at least one message')
  .max(MAX_MESSAGES, `a list of at most ${MAX_MESSAGES} messages`)
  .pipe(z.array(message));

export function chatMessages(messages: z.output<typeof messagesField>): ChatMessage[] {
  return messages.map((message, index) => {
    const path = `messages[${index}]`;
    refuseTools(message, path);
    return { role: templateRole(message.role, path), content: contentText(message.content, `${path}.content`) };
  });
}

/** Chat templates know no developer: it is OpenAI's newer name for the system role. */
function templateRole(role: (typeof ROLES)[number], path: string): ChatMessage['role'] {
  if (role === 'tool' || role === 'function') {
    throw unsupportedField(`${path}.role`, role, SUPPORTED_ROLES.map((supported) => `"${supported}"`).join(', '));
  }
  return role === 'developer' ? 'system' : role;
}

function refuseTools(message: Record<string, unknown>, path: string): void {
  for (const field of ['tool_calls', 'function_call', 'audio']) {
    const value = message[field];
    const empty = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    if (!empty) throw unsupportedField(`${path}.${field}`, value, 'null');
  }
}

/** Text parts become one string, a line each, as vLLM and llama.cpp do for templates that take strings. */
function contentText(content: unknown, path: string): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw invalidField(path, ALLOWED_CONTENT, content);
  return content.map((part: unknown, index) => partText(part, `${path}[${index}]`)).join('\n');
}

function partText(part: unknown, path: string): string {
  if (!isObject(part)) throw invalidField(path, 'an object such as {"type": "text", "text": "Hello"}', part);
  if (typeof part.type !== 'string') throw invalidField(`${path}.type`, '"text"', part.type);
  if (part.type !== 'text') throw unsupportedField(`${path}.type`, part.type, '"text"');
  if (typeof part.text !== 'string') throw invalidField(`${path}.text`, 'a string', part.text);
  return part.text;
}
