import type { ModelTokenizer } from './model-tokenizer';

/**
 * Text of a completion, token by token. A character whose bytes are spread over several tokens comes out whole with the
 * last of them; bytes that cannot become a character come out as U+FFFD. A completion continues its prompt, so a leading
 * space belongs to it.
 */
export class StreamDetokenizer {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(private readonly tokenizer: ModelTokenizer) {}

  /** The text that is certain now: possibly none. */
  push(id: number): string {
    return this.decoder.decode(this.tokenizer.tokenBytes(id), { stream: true });
  }

  /** What the last character still lacks is not coming. */
  flush(): string {
    return this.decoder.decode();
  }
}
