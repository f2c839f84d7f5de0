import { parseGgufHeaderInSteps } from '@pangalactic/models';
import { ChatTemplate, ModelTokenizer } from '@pangalactic/tokenizer';
import type { Steps } from '@pangalactic/tokenizer';

/** The part of a model that a gateway needs: how text becomes tokens and back. */
export interface LoadedModel {
  /** Of the weights. */
  readonly fingerprint: string;
  readonly tokenizer: ModelTokenizer;
  /** @throws PangalacticError when the model has none that works; it may serve plain completions all the same */
  chatTemplate(): ChatTemplate;
}

/**
 * In steps: a vocabulary of 150,000 tokens with as many merges takes a third of a second.
 * @throws PangalacticError `corrupt_model_file` or `unsupported_tokenizer`
 */
export function* readModel(fingerprint: string, headerBytes: Uint8Array): Steps<LoadedModel> {
  const header = yield* parseGgufHeaderInSteps(headerBytes);
  return {
    fingerprint,
    tokenizer: yield* ModelTokenizer.read(header),
    chatTemplate: outcomeOf(() => ChatTemplate.fromGguf(header)),
  };
}

/** Runs it now, so that nothing of its input is kept, and tells later how it went. */
function outcomeOf<T>(make: () => T): () => T {
  try {
    const value = make();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
