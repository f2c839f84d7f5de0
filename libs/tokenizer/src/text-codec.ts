import type { Steps } from './steps';

/** One of the ways in which text becomes tokens and tokens become text. Special tokens are not its business. */
export interface TextCodec {
  /** Encoding puts a space before the first word. */
  readonly addsSpace: boolean;
  /** @param startsText the text stands at the beginning or behind a special token */
  encode(text: string, startsText: boolean): Steps<number[]>;
  /** The UTF-8 that a token of kind Normal or Byte stands for: possibly not whole characters. */
  bytes(id: number): Uint8Array;
}
