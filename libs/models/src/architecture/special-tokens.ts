import { PangalacticError } from '@pangalactic/contracts';
import { quote } from '../gguf/errors';
import type { MetadataReader } from '../gguf/metadata-reader';

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
]);

/** The one kind of vocabulary that text can be encoded with. @throws PangalacticError `unsupported_tokenizer` */
export function demandSentencePiece(metadata: MetadataReader): void {
  const model = metadata.string('tokenizer.ggml.model');
  if (model === 'llama') return;
  const found = model === undefined ? 'is missing' : `is ${quote(model)}`;
  throw new PangalacticError('unsupported_tokenizer', `tokenizer.ggml.model ${found}: allowed: llama`);
}

/** What llama.cpp assumes of a SentencePiece vocabulary whose metadata says nothing. */
const SENTENCEPIECE_DEFAULTS = { bosId: 1, eosId: 2 };

export function readSpecialTokens(metadata: MetadataReader, vocabSize: number): SpecialTokens {
  // Converters write -1 for "none": an id outside the vocabulary counts as absent.
  const tokenId = (name: string, fallback?: number): number | undefined => {
    const id = metadata.number(`tokenizer.ggml.${name}_token_id`);
    if (id !== undefined && Number.isInteger(id) && id >= 0 && id < vocabSize) return id;
    return fallback !== undefined && fallback < vocabSize ? fallback : undefined;
  };

  const ends = new Set<number>();
  for (const [index, text] of (metadata.strings('tokenizer.ggml.tokens') ?? []).entries()) {
    if (END_OF_GENERATION_TEXTS.has(text)) ends.add(index);
  }
  const eosId = tokenId('eos', SENTENCEPIECE_DEFAULTS.eosId);
  for (const id of [eosId, tokenId('eot'), tokenId('eom')]) if (id !== undefined) ends.add(id);

  const bosId = tokenId('bos', SENTENCEPIECE_DEFAULTS.bosId);
  return {
    ...(bosId === undefined ? {} : { bosId }),
    addBos: bosId !== undefined && (metadata.boolean('tokenizer.ggml.add_bos_token') ?? true),
    endOfGenerationIds: [...ends].sort((a, b) => a - b),
  };
}
