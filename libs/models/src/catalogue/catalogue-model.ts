import type { ModelShape } from '../architecture/model-tensors';

/** How a file's tensors are quantised: names of llama.cpp's quantisation mixes. */
export type QuantisationMix = 'Q4_K_M' | 'Q8_0';

/** A model that `pangalactic model download` knows by its id. */
export interface CatalogueModel {
  readonly id: string;
  /** owner/name on Hugging Face. */
  readonly repository: string;
  readonly file: string;
  readonly fileBytes: number;
  /** Of the whole file; without it, `fileBytes` is computed from the shape, and the server says what the file must be. */
  readonly sha256?: string;
  readonly licence: string;
  readonly quantisation: QuantisationMix;
  readonly shape: ModelShape;
  /** Tokens that the model was trained for. */
  readonly contextLength: number;
}
