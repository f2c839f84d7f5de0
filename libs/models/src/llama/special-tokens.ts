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

/** What llama.cpp assumes of a SentencePiece vocabulary whose metadata says nothing. */
const SENTENCEPIECE_DEFAULTS = { bosId: 1, eosId: 2 };

export function readSpecialTokens(metadata: MetadataReader, vocabSize: number): SpecialTokens {
  const sentencePiece = metadata.string('tokenizer.ggml.model') === 'llama';
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
  const eosId = tokenId('eos', sentencePiece ? SENTENCEPIECE_DEFAULTS.eosId : undefined);
  for (const id of [eosId, tokenId('eot'), tokenId('eom')]) if (id !== undefined) ends.add(id);

  const bosId = tokenId('bos', sentencePiece ? SENTENCEPIECE_DEFAULTS.bosId : undefined);
  return {
    ...(bosId === undefined ? {} : { bosId }),
    addBos: bosId !== undefined && (metadata.boolean('tokenizer.ggml.add_bos_token') ?? sentencePiece),
    endOfGenerationIds: [...ends].sort((a, b) => a - b),
  };
}
