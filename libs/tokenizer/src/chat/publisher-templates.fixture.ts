import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GgufHeader } from '@pangalactic/models';
import { ModelTokenizer } from '../model-tokenizer';
import { byteLevelHeader, vocabularyHeader } from '../vocabulary.fixture';
import { ChatTemplate } from './chat-template';

/** A published template on a small vocabulary that has its control tokens. */
interface Publisher {
  readonly controls: readonly string[];
  readonly bos?: string;
  readonly eos: string;
  /** SentencePiece, with `<s>` and `</s>`; else byte-level BPE. */
  readonly isSentencePiece?: boolean;
}

const CHATML = { controls: ['<|endoftext|>', '<|im_start|>', '<|im_end|>'], eos: '<|im_end|>' };
const LLAMA_2 = { controls: [], bos: '<s>', eos: '</s>', isSentencePiece: true };
const LLAMA_3 = {
  controls: ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
  bos: '<|begin_of_text|>',
  eos: '<|eot_id|>',
};

const PUBLISHERS = {
  'llama-2-chat': LLAMA_2,
  'llama-3-instruct': LLAMA_3,
  'llama-3.2-instruct': LLAMA_3,
  'mistral-7b-instruct-v0.2': LLAMA_2,
  'mistral-7b-instruct-v0.3': { ...LLAMA_2, controls: ['[INST]', '[/INST]', '[TOOL_CALLS]', '[AVAILABLE_TOOLS]'] },
  'qwen2.5-instruct': CHATML,
  qwen3: CHATML,
  'smollm2-instruct': CHATML,
  'tinyllama-chat': LLAMA_2,
} as const satisfies Record<string, Publisher>;

export type PublisherName = keyof typeof PUBLISHERS;

export const PUBLISHER_NAMES = Object.keys(PUBLISHERS) as PublisherName[];

export function publisherModel(name: PublisherName): { tokenizer: ModelTokenizer; template: ChatTemplate } {
  const header = publisherHeader(PUBLISHERS[name], publisherTemplate(name));
  return { tokenizer: ModelTokenizer.fromGguf(header), template: ChatTemplate.fromGguf(header) };
}

export function publisherTemplate(name: PublisherName): string {
  return readFileSync(join(__dirname, 'publishers', `${name}.jinja`), 'utf8');
}

function publisherHeader({ controls, bos, eos, isSentencePiece }: Publisher, template: string): GgufHeader {
  const metadata = { 'tokenizer.chat_template': template, 'tokenizer.ggml.add_bos_token': bos !== undefined };
  if (isSentencePiece) return vocabularyHeader([...controls.map((text) => [text, 3] as const), ['▁']], { metadata });
  const special = controls.map((text) => [text] as const);
  const header = byteLevelHeader([], { special, metadata });
  const tokens = header.metadata.get('tokenizer.ggml.tokens') as string[];
  const ids = new Map([
    ...(bos === undefined ? [] : [['tokenizer.ggml.bos_token_id', tokens.indexOf(bos)] as const]),
    ['tokenizer.ggml.eos_token_id', tokens.indexOf(eos)] as const,
  ]);
  return { ...header, metadata: new Map([...header.metadata, ...ids]) };
}
