import { PangalacticError } from '@pangalactic/contracts';
import { encodeChat } from '@pangalactic/tokenizer';
import type { Conversation, Steps } from '@pangalactic/tokenizer';
import type { LoadedModel } from '../models/loaded-model';
import { requireRoom } from './token-budget';

export type Prompt =
  | ({ readonly kind: 'chat' } & Conversation)
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly ids: readonly number[] };

/** The request field that a prompt comes from, as errors name it. */
export function promptField(prompt: Prompt): string {
  return prompt.kind === 'chat' ? 'messages' : 'prompt';
}

/**
 * Whether the prompt fits is decided by its length before it is encoded, as far as that can tell.
 * @throws PangalacticError `invalid_request` for an empty prompt or an id that the vocabulary lacks,
 * `context_length_exceeded` when the context cannot hold it and a single token more
 */
export function* encodePrompt(model: LoadedModel, prompt: Prompt, contextLength: number): Steps<readonly number[]> {
  const field = promptField(prompt);
  const ids = yield* promptIds(model, prompt, (text) =>
    requireRoom({ tokens: model.tokenizer.fewestTokens(text), atLeast: true }, contextLength, field),
  );
  if (ids.length === 0) {
    throw new PangalacticError('invalid_request', `'${field}' must have at least one token.`, { param: field });
  }
  requireRoom({ tokens: ids.length }, contextLength, field);
  return ids;
}

function* promptIds(model: LoadedModel, prompt: Prompt, admit: (text: string) => void): Steps<readonly number[]> {
  const { tokenizer } = model;
  switch (prompt.kind) {
    case 'chat':
      return yield* encodeChat(tokenizer, model.chatTemplate(), prompt, admit);
    case 'text':
      admit(prompt.text);
      return yield* tokenizer.encodeInSteps(prompt.text, { addSpecial: true, parseSpecial: true });
    case 'tokens':
      return knownIds(prompt.ids, tokenizer.vocabSize);
  }
}

function knownIds(ids: readonly number[], vocabSize: number): readonly number[] {
  const index = ids.findIndex((id) => id >= vocabSize);
  if (index === -1) return ids;
  throw new PangalacticError(
    'invalid_request',
    `'prompt[${index}]' must be a token id from 0 to ${vocabSize - 1}, not ${ids[index]}.`,
    { param: `prompt[${index}]` },
  );
}
