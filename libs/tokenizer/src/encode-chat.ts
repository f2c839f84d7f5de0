import type { ChatMessage, ChatTemplate } from './chat-template';
import { ContentGuard } from './content-guard';
import type { ModelTokenizer } from './model-tokenizer';

/**
 * The prompt that asks for the assistant's next turn. The template's markers become control tokens; the same text written
 * by a user is plain text.
 *
 * The template runs over contents whose control texts are hidden. Should it still put a control text together out of
 * pieces of contents, the prompt has control tokens that it lacks when all contents are hidden completely; then the latter
 * prompt counts, although the template may have cut it differently.
 */
export function encodeChat(
  tokenizer: ModelTokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
): number[] {
  const contents = messages.map(({ content }) => content);
  const guard = new ContentGuard(tokenizer.controlTexts, contents);
  const encode = (hide: (content: string) => string): number[] => {
    const hidden = messages.map(({ role, content }) => ({ role, content: hide(content) }));
    const text = template.render(hidden, { addGenerationPrompt: true });
    return tokenizer.encodePrompt(text, (fragment) => guard.reveal(fragment));
  };

  const faithful = encode((content) => guard.hideControls(content));
  if (contents.every((content) => guard.hideControls(content) === guard.hideEdges(content))) return faithful;

  const safe = encode((content) => guard.hideEdges(content));
  const controls = (ids: readonly number[]) => ids.filter((id) => tokenizer.isSpecial(id)).join();
  return controls(faithful) === controls(safe) ? faithful : safe;
}
