import type { MetadataReader } from '../gguf/metadata-reader';
import { readTokenId, tokenizerKind } from './tokenizer-kind';

export interface SpecialTokens {
  readonly bosId?: number;
  /** A prompt starts with bosId. */
  readonly addBos: boolean;
  /** Sampling one of these ends the completion. Ascending. */
  readonly endOfGenerationIds: readonly number[];
}

/**
 * Ends of a turn by their text, as in llama.cpp: files often name only one of several in their metadata, and converters
 * often call them normal or user-defined tokens.
 */
export const END_OF_GENERATION_TEXTS: ReadonlySet<string> = new Set([
  '</s>',
  '<eos>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end|>',
  '<|im_end|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|return|>',
  '<|call|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<|flush|>',
  '<|calls|>',
  '<|tool_response>',
  '<turn|>',
  '<end_of_turn>',
  '<end_of_utterance>',
  '<｜end▁of▁sentence｜>',
  '[e~[',
  // Code models fill in a middle: what pads it, or begins the next file or repository, ends it.
  '<|fim_pad|>',
  '<fim-pad>',
  '<fim_pad>',
  '<PAD>',
  '[PAD]',
  '<|fim_repo|>',
  '<|repo_name|>',
  '<fim-repo>',
  '<REPO>',
  '<reponame>',
  '<|file_sep|>',
]);

/**
 * Tokens that steer the model whatever type the file gives them: ends of generation, and the markers of the parts around
 * a middle to be filled in.
 */
export const CONTROL_TEXTS: ReadonlySet<string> = new Set([
  ...END_OF_GENERATION_TEXTS,
  ...['<|fim_prefix|>', '<fim-prefix>', '<fim_prefix>', '<｜fim▁begin｜>', '<PRE>', '▁<PRE>', '<|code_prefix|>'],
  ...['<|fim_suffix|>', '<fim-suffix>', '<fim_suffix>', '<｜fim▁hole｜>', '<SUF>', '▁<SUF>', '<|code_suffix|>'],
  ...['<|fim_middle|>', '<fim-middle>', '<fim_middle>', '<｜fim▁end｜>', '<MID>', '▁<MID>', '<|code_middle|>'],
]);

export function readSpecialTokens(metadata: MetadataReader, vocabSize: number): SpecialTokens {
  const ends = new Set<number>();
  for (const [index, text] of (metadata.strings('tokenizer.ggml.tokens') ?? []).entries()) {
    if (END_OF_GENERATION_TEXTS.has(text)) ends.add(index);
  }
  for (const name of ['eos', 'eot', 'eom', 'fim_pad', 'fim_rep', 'fim_sep'] as const) {
    const id = readTokenId(metadata, name, vocabSize);
    if (id !== undefined) ends.add(id);
  }
  const bosId = readTokenId(metadata, 'bos', vocabSize);
  return {
    ...(bosId === undefined ? {} : { bosId }),
    addBos:
      bosId !== undefined && (metadata.boolean('tokenizer.ggml.add_bos_token') ?? tokenizerKind(metadata).addsBos),
    endOfGenerationIds: [...ends].sort((a, b) => a - b),
  };
}
