import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { addRange, type ByteRanges } from './byte-ranges';
import { type FileIdentity, formatJournal, parseJournal, sameFile } from './journal';

/** A file that is still being received, with its journal. Both outlive the process, however that ends. */
export class PartFile {
  private saving: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    private readonly identity: FileIdentity,
    private ranges: ByteRanges,
  ) {}

  /** Goes on with what is there if it belongs to the same file, else starts anew. */
  static async open(path: string, identity: FileIdentity): Promise<PartFile> {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666);
    return new PartFile(path, handle, identity, await receivedBefore(path, identity));
  }

  get received(): ByteRanges {
    return this.ranges;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.byteLength) {
      done += (await this.handle.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
    }
    this.ranges = addRange(this.ranges, { from: position, to: position + bytes.byteLength });
  }

  forget(): void {
    this.ranges = [];
  }

  /** The journal never names bytes that could be lost: they are on the disk first. */
  save(): Promise<void> {
    this.saving = this.saving.catch(() => undefined).then(() => this.saveNow());
    return this.saving;
  }

  async close(): Promise<void> {
    await this.saving.catch(() => undefined);
    await this.handle.close();
  }

  async discard(): Promise<void> {
    await Promise.all([this.path, journalOf(this.path)].map((file) => rm(file, { force: true })));
  }

  /** Gives the complete file its name. */
  async moveTo(path: string): Promise<void> {
    await rename(this.path, path);
    await rm(journalOf(this.path), { force: true });
  }

  private async saveNow(): Promise<void> {
    const received = this.ranges;
    await this.handle.datasync();
    const journal = journalOf(this.path);
    await writeFile(`${journal}.new`, formatJournal({ identity: this.identity, received }));
    await rename(`${journal}.new`, journal);
  }
}

function journalOf(path: string): string {
  return `${path}.json`;
}

async function receivedBefore(path: string, identity: FileIdentity): Promise<ByteRanges> {
  const text = await readFile(journalOf(path), 'utf8').catch(() => '');
  const journal = parseJournal(text);
  if (!journal || !sameFile(journal.identity, identity)) return [];
  const { size } = await stat(path);
  return size >= (journal.received.at(-1)?.to ?? 0) ? journal.received : [];
}
