/** Room for the intermediate results of one token, used again for the next. */
export class SamplingBuffers {
  /** Logits after bias and penalties. */
  readonly adjusted: Float32Array;
  /** Ids of tokens that are still in the running. */
  readonly candidates: Uint32Array;

  constructor(vocabSize: number) {
    this.adjusted = new Float32Array(vocabSize);
    this.candidates = new Uint32Array(vocabSize);
  }
}
