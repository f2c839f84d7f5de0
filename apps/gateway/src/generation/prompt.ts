import { PangalacticError } from '@pangalactic/contracts';
import { encodeChat } from '@pangalactic/tokenizer';
import type { LoadedModel } from '../models/loaded-model';
import type { ChatMessage } from '../openai/requests/chat-messages';

export type Prompt =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly ids: readonly number[] };

/** The request field that a prompt comes from, as errors name it. */
export function promptField(prompt: Prompt): string {
  return prompt.kind === 'chat' ? 'messages' : 'prompt';
}

/** @throws PangalacticError `invalid_request` for an empty prompt or an id that the vocabulary lacks */
export function encodePrompt(model: LoadedModel, prompt: Prompt): readonly number[] {
  const { tokenizer } = model;
  const ids = promptIds();
  if (ids.length === 0) {
    const param = promptField(prompt);
    throw new PangalacticError('invalid_request', `'${param}' must have at least one token.`, { param });
  }
  return ids;

  function promptIds(): readonly number[] {
    switch (prompt.kind) {
      case 'chat':
        return encodeChat(tokenizer, model.chatTemplate(), prompt.messages);
      case 'text':
        return tokenizer.encode(prompt.text, { addSpecial: true, parseSpecial: true });
      case 'tokens':
        return knownIds(prompt.ids, tokenizer.vocabSize);
    }
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
