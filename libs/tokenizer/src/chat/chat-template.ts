import { Template } from '@huggingface/jinja';
import { PangalacticError } from '@pangalactic/contracts';
import { type GgufHeader, MetadataReader, readTokenId } from '@pangalactic/models';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What a request tells the template beside the messages, such as `enable_thinking` of Qwen3. */
export type TemplateVariables = Readonly<Record<string, string | number | boolean | null>>;

export interface RenderOptions {
  /** Ends with the header of the assistant's turn, so that the model answers. */
  readonly addGenerationPrompt: boolean;
  /** Those that every template has cannot be replaced. */
  readonly variables?: TemplateVariables;
}

/** For models without a template, as in llama.cpp: ChatML. */
const DEFAULT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Templates paste the role into their markers, so it must not bring markers of its own. */
const ROLE = /^[A-Za-z0-9_-]{1,64}$/;

/** The Jinja template that turns a conversation into the text the model was trained on. */
export class ChatTemplate {
  private constructor(
    private readonly template: Template,
    private readonly tokens: { readonly bos_token: string; readonly eos_token: string },
  ) {}

  /** @throws PangalacticError `unsupported_tokenizer` */
  static fromGguf(header: GgufHeader): ChatTemplate {
    const metadata = new MetadataReader(header.metadata);
    const source = metadata.string('tokenizer.chat_template') ?? DEFAULT_TEMPLATE;
    const tokens = metadata.strings('tokenizer.ggml.tokens') ?? [];
    const text = (name: 'bos' | 'eos') => tokens[readTokenId(metadata, name, tokens.length) ?? -1] ?? '';
    return new ChatTemplate(parse(source), { bos_token: text('bos'), eos_token: text('eos') });
  }

  /** @throws PangalacticError `invalid_request` when the template refuses the conversation */
  render(messages: readonly ChatMessage[], { addGenerationPrompt, variables = {} }: RenderOptions): string {
    for (const { role } of messages) {
      if (!ROLE.test(role)) {
        const message = `role ${JSON.stringify(role.slice(0, 64))}: allowed: letters, digits, - and _`;
        throw new PangalacticError('invalid_request', message, { param: 'messages' });
      }
    }
    try {
      return this.template.render({
        ...variables,
        ...this.tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      const message = `the model's chat template refuses these messages: ${reason(error)}`;
      throw new PangalacticError('invalid_request', message, { param: 'messages', cause: error });
    }
  }
}

function parse(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new PangalacticError('unsupported_tokenizer', `tokenizer.chat_template: ${reason(error)}`, { cause: error });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
