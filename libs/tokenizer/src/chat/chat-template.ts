import { Template } from '@huggingface/jinja';
import { PangalacticError } from '@pangalactic/contracts';
import { type GgufHeader, MetadataReader, readTokenId } from '@pangalactic/models';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface RenderOptions {
  /** Ends with the header of the assistant's turn, so that the model answers. */
  readonly addGenerationPrompt: boolean;
}

/** Templates paste the role into their markers, so it must not bring markers of its own. */
const ROLE = /^[A-Za-z0-9_-]{1,64}$/;

/** The Jinja template that turns a conversation into the text the model was trained on. */
export class ChatTemplate {
  private constructor(
    private readonly template: Template,
    private readonly variables: { readonly bos_token: string; readonly eos_token: string },
  ) {}

  /** @throws PangalacticError `invalid_request` when the model has no template, `unsupported_tokenizer` */
  static fromGguf(header: GgufHeader): ChatTemplate {
    const metadata = new MetadataReader(header.metadata);
    const source = metadata.string('tokenizer.chat_template');
    if (source === undefined) {
      throw new PangalacticError('invalid_request', 'the model has no chat template: it serves completions only', {
        param: 'model',
      });
    }
    const tokens = metadata.strings('tokenizer.ggml.tokens') ?? [];
    const text = (name: 'bos' | 'eos') => tokens[readTokenId(metadata, name, tokens.length) ?? -1] ?? '';
    return new ChatTemplate(parse(source), { bos_token: text('bos'), eos_token: text('eos') });
  }

  /** @throws PangalacticError `invalid_request` when the template refuses the conversation */
  render(messages: readonly ChatMessage[], { addGenerationPrompt }: RenderOptions): string {
    for (const { role } of messages) {
      if (!ROLE.test(role)) {
        const message = `role ${JSON.stringify(role.slice(0, 64))}: allowed: letters, digits, - and _`;
        throw new PangalacticError('invalid_request', message, { param: 'messages' });
      }
    }
    try {
      return this.template.render({
        ...this.variables,
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
