import { type ByteRange, cutIntoPieces, missingRanges } from './byte-ranges';
import type { PartFile } from './part-file';
import type { RemoteFile, RemoteFileInfo } from './remote-file';
import { type RetryPolicy, withRetries } from './retry';

/** Long enough that asking costs nothing beside it, short enough that the connections end at about the same time. */
const PIECE_BYTES = 32 * 1024 ** 2;
const SAVE_MS = 1_000;

export interface TransferOptions {
  readonly connections: number;
  readonly retry: RetryPolicy;
  readonly onReceived: () => void;
  readonly signal: AbortSignal;
}

/** Fetches what a part file lacks, over several connections where the server sends ranges. */
export class Transfer {
  private readonly failed = new AbortController();
  private readonly signal: AbortSignal;

  constructor(
    private readonly remote: RemoteFile,
    private readonly file: RemoteFileInfo,
    private readonly part: PartFile,
    private readonly options: TransferOptions,
  ) {
    this.signal = AbortSignal.any([options.signal, this.failed.signal]);
  }

  /** Whatever ends it, the journal then names all that arrived. */
  async run(): Promise<void> {
    const saving = setInterval(() => void this.part.save().catch((error: unknown) => this.fail(error)), SAVE_MS);
    const workers = this.file.ranges ? this.receivePieces() : [this.receiveWhole()];
    await Promise.all(workers.map((worker) => worker.catch((error: unknown) => this.fail(error))));
    clearInterval(saving);
    await this.part.save().catch((error: unknown) => this.fail(error));
    this.signal.throwIfAborted();
  }

  /** The first failure ends the other workers. */
  private fail(error: unknown): void {
    if (!this.signal.aborted) this.failed.abort(error);
  }

  private receivePieces(): Promise<void>[] {
    const pieces = cutIntoPieces(missingRanges(this.part.received, this.file.bytes), PIECE_BYTES);
    const work = async () => {
      for (let piece = pieces.shift(); piece; piece = pieces.shift()) await this.receivePiece(piece);
    };
    return Array.from({ length: this.options.connections }, work);
  }

  private async receivePiece({ from, to }: ByteRange): Promise<void> {
    let position = from;
    await this.retried(async (progressed) => {
      if (position === to) return;
      await this.receive({ from: position, to }, (bytes) => {
        position += bytes;
        progressed();
      });
    });
  }

  /** Without ranges every attempt starts anew, so that progress is no reason to go on trying. */
  private receiveWhole(): Promise<void> {
    return this.retried(async () => {
      this.part.forget();
      await this.receive({ from: 0, to: this.file.bytes }, () => undefined);
    });
  }

  private async receive(range: ByteRange, onBytes: (bytes: number) => void): Promise<void> {
    let position = range.from;
    for await (const chunk of this.remote.read(range, this.file, this.signal)) {
      await this.part.write(chunk, position);
      position += chunk.byteLength;
      onBytes(chunk.byteLength);
      this.options.onReceived();
    }
  }

  private retried(attempt: (progressed: () => void) => Promise<void>): Promise<void> {
    return withRetries(attempt, this.options.retry, this.signal);
  }
}
