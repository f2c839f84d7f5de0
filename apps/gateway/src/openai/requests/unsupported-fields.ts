import { isDeepStrictEqual } from 'node:util';
import { isObject, unsupportedField } from './validation';

/** Fields that change the answer and that we do not implement, with the values that ask for nothing. */
export type UnsupportedFields = Readonly<Record<string, readonly unknown[]>>;

export const UNSUPPORTED_CHAT_FIELDS: UnsupportedFields = {
  tools: [[]],
  tool_choice: ['none'],
  functions: [[]],
  function_call: ['none'],
  response_format: [{ type: 'text' }],
  audio: [],
  modalities: [['text']],
  prediction: [],
  reasoning_effort: ['none'],
  verbosity: ['medium'],
  web_search_options: [],
  store: [false],
};

export const UNSUPPORTED_COMPLETION_FIELDS: UnsupportedFields = {
  echo: [false],
  suffix: [''],
  best_of: [1],
};

/** @throws PangalacticError `unsupported_parameter`: nothing that would change the answer is dropped silently */
export function refuseUnsupported(body: unknown, fields: UnsupportedFields): void {
  if (!isObject(body)) return;
  for (const [name, neutralValues] of Object.entries(fields)) {
    const value = body[name];
    if (value === undefined || value === null) continue;
    if (neutralValues.some((neutral) => isDeepStrictEqual(neutral, value))) continue;
    throw unsupportedField(name, value, neutralValues.map((neutral) => JSON.stringify(neutral)).join(', ') || 'null');
  }
}
