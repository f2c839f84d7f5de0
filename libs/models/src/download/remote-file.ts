import { type Dispatcher, request } from 'undici';
import type { ByteRange } from './byte-ranges';
import type { FileIdentity } from './journal';
import type { ModelSource } from './model-source';
import { printable, refused } from './refusal';
import { TransferError } from './transfer-error';

/** Sent to this origin alone. */
export interface AccessToken {
  readonly origin: string;
  readonly value: string;
}

export interface RemoteFileInfo extends FileIdentity {
  /** As Hugging Face announces it. */
  readonly sha256?: string;
  /** The server sends parts of the file. */
  readonly ranges: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: Dispatcher.ResponseData['body'];
  /** Of the first answer that has it: Hugging Face describes the file in the redirect to the bytes. */
  readonly header: (name: string) => string | undefined;
  readonly lastHeader: (name: string) => string | undefined;
  readonly url: URL;
}

const MOST_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** A file on an HTTP server, read by ranges. Every failure is a TransferError, unless the signal ended it. */
export class RemoteFile {
  constructor(
    private readonly source: Pick<ModelSource, 'url' | 'repository'>,
    private readonly dispatcher: Dispatcher,
    private readonly token?: AccessToken,
  ) {}

  /** Asks for the first byte: that shows the size and whether ranges work, also where HEAD is not allowed. */
  async describe(signal: AbortSignal): Promise<RemoteFileInfo> {
    const answer = await this.get({ from: 0, to: 1 }, signal);
    discard(answer.body);
    const { header, lastHeader } = answer;
    const ranges = answer.status === 206;
    const bytes = ranges ? contentRange(answer).size : Number(lastHeader('content-length') ?? NaN);
    if (!Number.isSafeInteger(bytes)) throw this.broken('does not say how long the file is');
    const announced = header('x-linked-size');
    if (announced !== undefined && Number(announced) !== bytes) {
      throw this.broken(`announces ${announced} bytes, but ${answer.url.host} has ${bytes}`);
    }
    const sha256 = /^"?([0-9a-f]{64})"?$/.exec(header('x-linked-etag') ?? '')?.[1];
    const version = sha256 ?? lastHeader('etag') ?? lastHeader('last-modified') ?? '';
    return { bytes, version, ranges, ...(sha256 === undefined ? {} : { sha256 }) };
  }

  /** Exactly the bytes of the range, in order; without range support, of the whole file. */
  async *read(range: ByteRange, file: RemoteFileInfo, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const answer = await this.get(file.ranges ? range : undefined, signal);
    let left = range.to - range.from;
    try {
      this.check(answer, range, file);
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        left -= chunk.byteLength;
        if (left < 0) throw this.broken('sends more bytes than it announced');
        yield chunk;
      }
    } catch (error) {
      throw this.described(error, signal);
    } finally {
      discard(answer.body);
    }
    if (left > 0) throw new TransferError(`${answer.url.host} closed the connection early`, { retryable: true });
  }

  private check(answer: Answer, range: ByteRange, file: RemoteFileInfo): void {
    if (file.ranges !== (answer.status === 206)) {
      throw new TransferError(`${answer.url.host} no longer sends parts of the file`, { retryable: true });
    }
    const { from, size } = file.ranges ? contentRange(answer) : { from: 0, size: file.bytes };
    if (from !== range.from || size !== file.bytes) throw this.broken('sends other bytes than those asked for');
    const etag = answer.lastHeader('etag');
    if (file.sha256 === undefined && etag !== undefined && etag !== file.version) {
      throw this.broken('has another file than when the download began: start again');
    }
  }

  private async get(range: ByteRange | undefined, signal: AbortSignal): Promise<Answer> {
    let { url } = this.source;
    const answers: Dispatcher.ResponseData[] = [];
    for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
      const response = await this.ask(url, range, signal);
      answers.push(response);
      const location = headerOf(response, 'location');
      if (!REDIRECTS.includes(response.statusCode) || location === undefined) return this.accept(answers, url);
      discard(response.body);
      url = this.redirected(url, location);
    }
    throw this.broken(`redirects more than ${MOST_REDIRECTS} times`);
  }

  private async ask(url: URL, range: ByteRange | undefined, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const headers = {
      'user-agent': 'pangalactic',
      'accept-encoding': 'identity',
      ...(range && { range: `bytes=${range.from}-${range.to - 1}` }),
      ...(this.token?.origin === url.origin && { authorization: `Bearer ${this.token.value}` }),
    };
    try {
      return await request(url, { dispatcher: this.dispatcher, headers, signal });
    } catch (error) {
      throw this.described(error, signal, url);
    }
  }

  private accept(answers: readonly Dispatcher.ResponseData[], url: URL): Answer {
    const last = answers.at(-1)!;
    const { statusCode: status, body } = last;
    const lastHeader = (name: string) => headerOf(last, name);
    if (status === 200 || status === 206) {
      const header = (name: string) =>
        answers.map((answer) => headerOf(answer, name)).find((value) => value !== undefined);
      return { status, body, header, lastHeader, url };
    }
    discard(body);
    const { repository, url: asked } = this.source;
    const hasToken = this.token?.origin === asked.origin;
    throw refused({ status, header: lastHeader, answeredBy: url }, { url: asked, repository, hasToken }, Date.now());
  }

  private redirected(from: URL, location: string): URL {
    if (!URL.canParse(location, from.href)) throw this.broken('redirects to nowhere');
    const url = new URL(location, from);
    const secure = from.protocol === 'https:' ? ['https:'] : ['https:', 'http:'];
    if (!secure.includes(url.protocol)) throw this.broken(`redirects from ${from.protocol} to ${url.protocol}`);
    return url;
  }

  private broken(what: string): TransferError {
    return new TransferError(`${printable(this.source.url)} ${what}`, { retryable: false });
  }

  /** Whatever undici and Node throw, by its code: all of it may be over with the next attempt. */
  private described(error: unknown, signal: AbortSignal, url = this.source.url): unknown {
    if (signal.aborted || error instanceof TransferError) return error;
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' ? 'stalled' : (code ?? message);
    return new TransferError(`${url.host}: ${reason}`, { retryable: true, cause: error });
  }
}

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function contentRange({ lastHeader, url }: Answer): { from: number; size: number } {
  const [, from, , size] = CONTENT_RANGE.exec(lastHeader('content-range') ?? '') ?? [];
  if (size === undefined) {
    throw new TransferError(`${url.host} sends a part without saying which one`, { retryable: false });
  }
  return { from: Number(from), size: Number(size) };
}

/** Ends the connection of a body that nobody reads further, which undici reports as an error of the body. */
function discard(body: Dispatcher.ResponseData['body']): void {
  body.on('error', () => undefined).destroy();
}
