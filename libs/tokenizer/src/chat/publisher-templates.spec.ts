import { PangalacticError } from '@pangalactic/contracts';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runToEnd } from '../steps';
import type { ChatMessage, TemplateVariables } from './chat-template';
import { encodeChat } from './encode-chat';
import { PUBLISHER_NAMES, publisherModel, type PublisherName } from './publisher-templates.fixture';

/** The conversation of llama.cpp's tests/test-chat-template.cpp, which has the expected texts of most formats too. */
const CONVERSATION: readonly ChatMessage[] = [
  { role: 'system', content: 'You are a helpful assistant' },
  { role: 'user', content: 'Hello' },
  { role: 'assistant', content: 'Hi there' },
  { role: 'user', content: 'Who are you' },
  { role: 'assistant', content: '   I am an assistant   ' },
  { role: 'user', content: 'Another question' },
];
const WITHOUT_SYSTEM = CONVERSATION.slice(1);

function render(name: PublisherName, messages = CONVERSATION, variables: TemplateVariables = {}): string {
  return publisherModel(name).template.render(messages, { addGenerationPrompt: true, variables });
}

const turn = (role: string, content: string) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
const chatml = (messages: readonly ChatMessage[]) =>
  `${messages.map(({ role, content }) => turn(role, content)).join('')}<|im_start|>assistant\n`;

describe("publishers' chat templates", () => {
  it.each<[PublisherName, readonly ChatMessage[], string]>([
    [
      'llama-2-chat',
      CONVERSATION,
      '<s>[INST] <<SYS>>\nYou are a helpful assistant\n<</SYS>>\n\nHello [/INST] Hi there </s>' +
        '<s>[INST] Who are you [/INST] I am an assistant </s><s>[INST] Another question [/INST]',
    ],
    [
      'llama-3-instruct',
      CONVERSATION,
      '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nWho are you<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\nI am an assistant<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nAnother question<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n',
    ],
    [
      'mistral-7b-instruct-v0.2',
      WITHOUT_SYSTEM,
      '<s>[INST] Hello [/INST]Hi there</s>[INST] Who are you [/INST]   I am an assistant   </s>[INST] Another question [/INST]',
    ],
    [
      'mistral-7b-instruct-v0.3',
      CONVERSATION,
      '<s>[INST] Hello[/INST] Hi there</s>[INST] Who are you[/INST] I am an assistant</s>' +
        '[INST] You are a helpful assistant\n\nAnother question[/INST]',
    ],
    ['qwen2.5-instruct', CONVERSATION, chatml(CONVERSATION)],
    [
      'qwen2.5-instruct',
      WITHOUT_SYSTEM,
      turn('system', 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.') + chatml(WITHOUT_SYSTEM),
    ],
    ['qwen3', CONVERSATION, chatml(CONVERSATION)],
    ['qwen3', WITHOUT_SYSTEM, chatml(WITHOUT_SYSTEM)],
    ['smollm2-instruct', CONVERSATION, chatml(CONVERSATION)],
    [
      'smollm2-instruct',
      WITHOUT_SYSTEM,
      turn('system', 'You are a helpful AI assistant named SmolLM, trained by Hugging Face') + chatml(WITHOUT_SYSTEM),
    ],
    [
      'tinyllama-chat',
      CONVERSATION,
      '<|system|>\nYou are a helpful assistant</s>\n<|user|>\nHello</s>\n<|assistant|>\nHi there</s>\n' +
        '<|user|>\nWho are you</s>\n<|assistant|>\n   I am an assistant   </s>\n<|user|>\nAnother question</s>\n' +
        '<|assistant|>\n',
    ],
  ])('%s', (name, messages, expected) => {
    expect(render(name, messages)).toBe(expected);
  });

  it('qwen3 thinks unless it is told not to, and forgets earlier thoughts', () => {
    const messages = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: '<think>\nHm.\n</think>\n\nHi.' },
      { role: 'user', content: 'Bye' },
    ];
    const shown = chatml([messages[0]!, { role: 'assistant', content: 'Hi.' }, messages[2]!]);
    expect(render('qwen3', messages)).toBe(shown);
    expect(render('qwen3', messages, { enable_thinking: true })).toBe(shown);
    expect(render('qwen3', messages, { enable_thinking: false })).toBe(`${shown}<think>\n\n</think>\n\n`);
  });

  it.each<[PublisherName, readonly ChatMessage[], RegExp]>([
    ['mistral-7b-instruct-v0.2', CONVERSATION, /Conversation roles must alternate/],
    ['mistral-7b-instruct-v0.3', CONVERSATION.slice(2), /After the optional system message, conversation roles must/],
    ['llama-2-chat', CONVERSATION.slice(2), /Conversation roles must alternate/],
  ])('%s refuses what it was not trained on', (name, messages, message) => {
    const failure = failureOf(() => render(name, messages));
    expect(failure).toMatchObject({ code: 'invalid_request', param: 'messages' });
    expect(failure.message).toMatch(message);
  });

  describe('llama-3.2-instruct', () => {
    afterEach(() => void vi.useRealTimers());

    it('tells the date, unless the request does', () => {
      vi.useFakeTimers({ toFake: ['Date'], now: new Date(2026, 10, 5) });
      const expected = (date: string) =>
        '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n' +
        `Cutting Knowledge Date: December 2023\nToday Date: ${date}\n\nYou are a helpful assistant<|eot_id|>` +
        '<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n';
      const messages = CONVERSATION.slice(0, 2);
      expect(render('llama-3.2-instruct', messages)).toBe(expected('05 Nov 2026'));
      expect(render('llama-3.2-instruct', messages, { date_string: '1 May 2025' })).toBe(expected('1 May 2025'));
    });
  });
});

describe.each(PUBLISHER_NAMES)('text from users is never a control token: %s', (name) => {
  const { tokenizer, template } = publisherModel(name);
  const controlsOf = (contents: readonly string[]) => {
    const messages = contents.map((content, index) => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }));
    const ids = runToEnd(encodeChat(tokenizer, template, { messages }));
    return { controls: ids.filter((id) => tokenizer.isSpecial(id)), text: tokenizer.decode(ids) };
  };

  it('whatever they write', () => {
    const halves = tokenizer.controlTexts.flatMap((text) => [text.slice(0, 3), text.slice(3), text.slice(1)]);
    const piece = fc.oneof(
      fc.constantFrom(...tokenizer.controlTexts, ...halves, '\ue000', ' ', '\n', '</think>', '<<SYS>>', '[INST]'),
      fc.string({ maxLength: 3 }),
    );
    const content = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(fc.array(content, { minLength: 1, maxLength: 4 }), (contents) => {
        expect(controlsOf(contents).controls).toEqual(controlsOf(contents.map(() => 'x')).controls);
      }),
      { numRuns: 100 },
    );
  });

  it('and is all there', () => {
    const content = tokenizer.controlTexts.join(' and ');
    expect(controlsOf([content]).text).toContain(content);
  });
});

function failureOf(action: () => unknown): PangalacticError {
  try {
    action();
  } catch (error) {
    if (error instanceof PangalacticError) return error;
    throw error;
  }
  throw new Error('nothing failed');
}
