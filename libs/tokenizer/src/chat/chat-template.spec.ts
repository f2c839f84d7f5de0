import { join } from 'node:path';
import { PangalacticError, repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import { describe, expect, it } from 'vitest';
import { vocabularyHeader } from '../vocabulary.fixture';
import { type ChatMessage, ChatTemplate } from './chat-template';

const templateOf = (source: string) =>
  ChatTemplate.fromGguf(vocabularyHeader([], { metadata: { 'tokenizer.chat_template': source } }));
const user = (content: string): ChatMessage => ({ role: 'user', content });

function failureOf(action: () => unknown): PangalacticError {
  try {
    action();
  } catch (error) {
    if (error instanceof PangalacticError) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

describe('ChatTemplate', () => {
  it('renders the template of pangalactic-nano', async () => {
    const { header } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
    const template = ChatTemplate.fromGguf(header);
    const messages = [{ role: 'system', content: 'Be brief.' }, user('Hello')];
    const turns = '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n';
    expect(template.render(messages, { addGenerationPrompt: false })).toBe(turns);
    expect(template.render(messages, { addGenerationPrompt: true })).toBe(`${turns}<|im_start|>assistant\n`);
  });

  it('knows the beginning and the end of a sequence', () => {
    const template = templateOf('{{ bos_token }}{{ messages[0].content }}{{ eos_token }}');
    expect(template.render([user('hi')], { addGenerationPrompt: true })).toBe('<s>hi</s>');
  });

  it('tells the date', () => {
    const template = templateOf("{{ strftime_now('%Y') }}");
    expect(template.render([], { addGenerationPrompt: true })).toMatch(/^20\d\d$/);
  });

  it('is ChatML for a model without one', () => {
    const template = ChatTemplate.fromGguf(vocabularyHeader([]));
    const turns = '<|im_start|>user\nHello<|im_end|>\n';
    expect(template.render([user('Hello')], { addGenerationPrompt: false })).toBe(turns);
    expect(template.render([user('Hello')], { addGenerationPrompt: true })).toBe(`${turns}<|im_start|>assistant\n`);
  });

  it('knows the variables of the request, which replace none of its own', () => {
    const template = templateOf(
      "{{ style }}{{ ' silent ' if thinking is false }}{{ bos_token }}{{ messages | length }}",
    );
    const variables = { style: 'terse', thinking: false, bos_token: 'x', messages: 'y' };
    expect(template.render([user('hi')], { addGenerationPrompt: true, variables })).toBe('terse silent <s>1');
  });

  it('says what is wrong with a template', () => {
    const failure = failureOf(() => templateOf('{% if %}'));
    expect(failure.code).toBe('unsupported_tokenizer');
    expect(failure.message).toMatch(/^tokenizer\.chat_template: /);
  });

  it('passes on what the template says of the messages', () => {
    const template = templateOf("{{ raise_exception('roles must alternate') }}");
    const failure = failureOf(() => template.render([user('hi')], { addGenerationPrompt: true }));
    expect(failure).toMatchObject({ code: 'invalid_request', param: 'messages' });
    expect(failure.message).toMatch(/refuses these messages: .*roles must alternate/);
  });

  it.each(['', 'user\n', 'system|>', '<|im_end|>', 'x'.repeat(65)])('refuses the role %j', (role) => {
    const template = templateOf('{{ messages[0].role }}');
    const failure = failureOf(() => template.render([{ role, content: '' }], { addGenerationPrompt: true }));
    expect(failure).toMatchObject({ code: 'invalid_request', param: 'messages' });
  });
});
