import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { type GgufHeader, readGgufHeader } from '@pangalactic/models';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ModelTokenizer } from '../model-tokenizer';
import { runToEnd } from '../steps';
import { TokenKind } from '../vocabulary';
import { vocabularyHeader } from '../vocabulary.fixture';
import { type ChatMessage, ChatTemplate } from './chat-template';
import { encodeChat } from './encode-chat';
import { publisherTemplate } from './publisher-templates.fixture';

const LLAMA_2 = publisherTemplate('llama-2-chat');
const ZEPHYR = publisherTemplate('tinyllama-chat');
/** Drops the reasoning of earlier answers, as DeepSeek-R1 and Qwen3 do: it looks into the contents. */
const REASONING = `{{ bos_token }}{% for message in messages %}{% set content = message.content %}{% if message.role == 'assistant' and '</think>' in content %}{% set content = content.split('</think>')[-1] | trim %}{% endif %}{{ '<|' + message.role + '|>' + content + eos_token }}{% endfor %}{{ '<|assistant|>' }}`;
/** No sane template does this: it deletes from the contents, and what is left may read as a control token. */
const DELETING = `{% for message in messages %}{{ message.content | replace('-', '') }}{{ eos_token }}{% endfor %}`;
const JOINING = `{% for message in messages %}{{ message.content }}{% endfor %}`;

const CONTROLS = ['<s>', '</s>', '<unk>', '<|user|>', '<|system|>', '<|assistant|>'];
const [BOS, EOS, USER, SYSTEM, ASSISTANT, THINK] = [1, 2, 3, 4, 5, 6];

function modelWith(template: string, metadata: Record<string, boolean> = {}) {
  const pieces = [
    ['<|user|>', TokenKind.Control],
    ['<|system|>', TokenKind.Control],
    ['<|assistant|>', TokenKind.Control],
    ['</think>', TokenKind.UserDefined],
    ['▁'],
  ] as const;
  const header = vocabularyHeader(pieces, {
    metadata: { 'tokenizer.chat_template': template, 'tokenizer.ggml.add_bos_token': true, ...metadata },
  });
  return { tokenizer: ModelTokenizer.fromGguf(header), template: ChatTemplate.fromGguf(header) };
}

type Model = ReturnType<typeof modelWith>;
const chat = ({ tokenizer, template }: Model, messages: readonly ChatMessage[]) =>
  runToEnd(encodeChat(tokenizer, template, { messages }));
const system = (content: string): ChatMessage => ({ role: 'system', content });
const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

/** The prompt with control tokens as numbers and the text between them decoded. */
function outline({ tokenizer }: Model, ids: readonly number[]): (number | string)[] {
  const parts: (number | string)[] = [];
  let text: number[] = [];
  const endText = () => {
    if (text.length > 0) parts.push(tokenizer.decode(text));
    text = [];
  };
  for (const id of ids) {
    if (!tokenizer.isSpecial(id)) text.push(id);
    else {
      endText();
      parts.push(id);
    }
  }
  endText();
  return parts;
}

describe('encodeChat', () => {
  it('makes one beginning of sequence, whether the template writes it or not', () => {
    const llama2 = modelWith(LLAMA_2);
    expect(outline(llama2, chat(llama2, [user('Hi')]))).toEqual([BOS, '[INST] Hi [/INST]']);
    const zephyr = modelWith(ZEPHYR);
    expect(outline(zephyr, chat(zephyr, [user('Hi')]))).toEqual([BOS, USER, '\nHi', EOS, '\n', ASSISTANT, '\n']);
    const withoutBos = modelWith(ZEPHYR, { 'tokenizer.ggml.add_bos_token': false });
    expect(chat(withoutBos, [user('Hi')])[0]).toBe(USER);
  });

  it('keeps control texts of all messages plain, in templates of every style', () => {
    const text = CONTROLS.join(' and ');
    const llama2 = modelWith(LLAMA_2);
    expect(outline(llama2, chat(llama2, [system(text), user(` ${text} `), assistant(text), user(text)]))).toEqual([
      BOS,
      `[INST] <<SYS>>\n${text}\n<</SYS>>\n\n ${text} [/INST] ${text} `,
      EOS,
      BOS,
      `[INST] ${text} [/INST]`,
    ]);
    const zephyr = modelWith(ZEPHYR);
    expect(outline(zephyr, chat(zephyr, [system(text), user(text)]))).toEqual([
      BOS,
      SYSTEM,
      `\n${text}`,
      EOS,
      '\n',
      USER,
      `\n${text}`,
      EOS,
      '\n',
      ASSISTANT,
      '\n',
    ]);
  });

  it('lets a template look into contents that have control texts', () => {
    const model = modelWith(REASONING);
    const messages = [user('a < b?'), assistant('<s> hmm </think> Yes.</s>'), user('Sure </think>?')];
    expect(outline(model, chat(model, messages))).toEqual([
      BOS,
      USER,
      'a < b?',
      EOS,
      ASSISTANT,
      'Yes.</s>',
      EOS,
      USER,
      'Sure </think>?',
      EOS,
      ASSISTANT,
    ]);
  });

  it('keeps control texts of variables plain', () => {
    const model = modelWith('{{ bos_token }}{% if on %}{{ style }}{% endif %}{{ eos_token }}');
    const variables = { style: '</s><s>', on: true };
    const ids = runToEnd(encodeChat(model.tokenizer, model.template, { messages: [user('Hi')], variables }));
    expect(outline(model, ids)).toEqual([BOS, '</s><s>', EOS]);
  });

  it('still sees user-defined tokens, which are text', () => {
    const model = modelWith(REASONING);
    expect(chat(model, [user('<s></think>')])).toContain(THINK);
  });

  it.each<[string, string, string[]]>([
    ['deletes inside a content', DELETING, ['<-/s>', '<-s-> </-s>']],
    ['joins contents', JOINING, ['<', 's>', '</', 's', '>']],
    ['joins contents whose edges overlap', JOINING, ['<s', '><s', '>']],
  ])('is not fooled by a template that %s', (_, source, contents) => {
    const model = modelWith(source);
    const controls = chat(model, contents.map(user)).filter((id) => model.tokenizer.isSpecial(id));
    expect(controls).toEqual([BOS, ...(source === DELETING ? contents.map(() => EOS) : [])]);
  });

  it('is not fooled by a control text that overlaps itself', () => {
    const header = vocabularyHeader([['aba', TokenKind.Control]], {
      metadata: { 'tokenizer.chat_template': JOINING },
    });
    const model = { tokenizer: ModelTokenizer.fromGguf(header), template: ChatTemplate.fromGguf(header) };
    const ids = chat(model, [user('ababa')]);
    expect(ids.filter((id) => model.tokenizer.isSpecial(id))).toEqual([]);
    expect(model.tokenizer.decode(ids)).toBe('ababa');
  });

  it('keeps private-use characters, and refuses a content that uses them all', () => {
    const model = modelWith(ZEPHYR);
    const rare = '\ue000<s>\ue001';
    expect(outline(model, chat(model, [user(rare)]))).toContain(`\n${rare}`);
    const all = Array.from({ length: 0xf8ff - 0xe000 + 1 }, (_, index) => String.fromCharCode(0xe000 + index)).join('');
    expect(() => chat(model, [user(all)])).toThrow('the messages use all private-use characters of Unicode');
  });
});

describe('encodeChat with pangalactic-nano', () => {
  let header: GgufHeader;
  let model: Model;
  beforeAll(async () => {
    ({ header } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf')));
    model = { tokenizer: ModelTokenizer.fromGguf(header), template: ChatTemplate.fromGguf(header) };
  });

  it('gives the prompts the model was measured with', () => {
    const path = join(repositoryRoot(), 'models/golden/golden-q8_0.json');
    const { cases } = JSON.parse(readFileSync(path, 'utf8')) as {
      cases: { messages: ChatMessage[]; prompt_ids: number[] }[];
    };
    expect(cases.length).toBeGreaterThan(0);
    for (const { messages, prompt_ids } of cases) expect(chat(model, messages)).toEqual(prompt_ids);
  });

  it('has the control tokens of the template and no others, and every content as it was', () => {
    const piece = fc.oneof(
      fc.constantFrom('<|im_start|>', '<|im_end|>', '<s>', '<unk>', '<|im_', 'end|>', '<', '>', '\n', ' ', '\ue000'),
      fc.string({ maxLength: 4 }),
    );
    const content = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    const [start, end] = [3, 2];
    fc.assert(
      fc.property(fc.array(content, { minLength: 1, maxLength: 4 }), (contents) => {
        const turns = contents.flatMap((text) => [start, `user\n${text}`, end, '\n']);
        expect(outline(model, chat(model, contents.map(user)))).toEqual([...turns, start, 'assistant\n']);
      }),
      { numRuns: 500 },
    );
  });

  it('equals plain tokenising of the rendered template when no content has a control text', () => {
    const options = { addSpecial: false, parseSpecial: true };
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 3 }), (contents) => {
        const rendered = model.template.render(contents.map(user), { addGenerationPrompt: true });
        expect(chat(model, contents.map(user))).toEqual(model.tokenizer.encode(rendered, options));
      }),
    );
  });
});
