import type { ModelTokenizer } from '../model-tokenizer';
import type { Steps } from '../steps';
import type { ChatMessage, ChatTemplate, TemplateVariables } from './chat-template';
import { ContentGuard } from './content-guard';

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly variables?: TemplateVariables;
}

/**
 * The prompt that asks for the assistant's next turn. The template's markers become control tokens; the same text written
 * by a user is plain text, in messages as in variables.
 *
 * The template runs over contents whose control texts are hidden. Should it still put a control text together out of
 * pieces of contents, the prompt has control tokens that it lacks when all contents are hidden completely; then the latter
 * prompt counts, although the template may have cut it differently.
 *
 * @param admit sees each rendered prompt before it is encoded, and may throw
 */
export function* encodeChat(
  tokenizer: ModelTokenizer,
  template: ChatTemplate,
  { messages, variables = {} }: Conversation,
  admit: (rendered: string) => void = () => undefined,
): Steps<number[]> {
  const texts = Object.entries(variables).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  const contents = [...messages.map(({ content }) => content), ...texts.map(([, text]) => text)];
  const guard = new ContentGuard(tokenizer.controlTexts, contents);
  const encode = function* (hidden: readonly string[]): Steps<number[]> {
    const shown = messages.map(({ role }, index) => ({ role, content: hidden[index]! }));
    const shownTexts = Object.fromEntries(texts.map(([name], index) => [name, hidden[messages.length + index]!]));
    const text = template.render(shown, { addGenerationPrompt: true, variables: { ...variables, ...shownTexts } });
    admit(text);
    yield;
    return yield* tokenizer.encodePrompt(text, (fragment) => guard.reveal(fragment));
  };

  const withoutControls: string[] = [];
  for (const content of contents) withoutControls.push(yield* guard.hideControls(content));
  const faithful = yield* encode(withoutControls);

  const withoutEdges = contents.map((content) => guard.hideEdges(content));
  if (withoutControls.every((content, index) => content === withoutEdges[index])) return faithful;
  const safe = yield* encode(withoutEdges);
  const controls = (ids: readonly number[]) => ids.filter((id) => tokenizer.isSpecial(id)).join();
  return controls(faithful) === controls(safe) ? faithful : safe;
}
