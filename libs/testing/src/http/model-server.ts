import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that the server got. */
export interface SeenRequest {
  readonly host: 'hub' | 'cdn';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What goes wrong with an answer. */
export type ModelServerFault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  /** The connection ends, or nothing more comes, after so many bytes of the body. */
  | { readonly kind: 'cut' | 'stall'; readonly after: number }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Other bytes of the same length. */
  | { readonly kind: 'corrupt' }
  | { readonly kind: 'no-ranges' };

export interface ModelServerFile {
  readonly bytes: Buffer;
  /** As announced, when that is to differ from the truth. */
  readonly linkedSize?: number;
  /** False: a server that is not Hugging Face, which knows no hashes. */
  readonly linked?: boolean;
}

interface Origin {
  readonly server: Server;
  readonly url: string;
}

/**
 * Speaks the endpoints of Hugging Face that a download needs: `/<owner>/<name>/resolve/main/<file>` describes the file
 * and redirects to another origin that has the bytes (huggingface_hub, file_download.py, get_hf_file_metadata).
 */
export class ModelServer {
  readonly requests: SeenRequest[] = [];
  /** Bytes of bodies that were sent. */
  sentBytes = 0;
  private readonly files = new Map<string, ModelServerFile>();

  private constructor(
    private readonly hub: Origin,
    private readonly cdn: Origin,
    private readonly fault: (request: SeenRequest, count: number) => ModelServerFault | undefined,
  ) {
    hub.server.on('request', (request, response) => this.answer('hub', request, response));
    cdn.server.on('request', (request, response) => this.answer('cdn', request, response));
  }

  /** @param fault asked for every request, with the number of those before it at the same host */
  static async start(fault: (request: SeenRequest, count: number) => ModelServerFault | undefined = () => undefined) {
    return new ModelServer(await listen(), await listen(), fault);
  }

  get endpoint(): string {
    return this.hub.url;
  }

  get cdnEndpoint(): string {
    return this.cdn.url;
  }

  /** @param path `owner/name/file` */
  serve(path: string, file: ModelServerFile): void {
    const cut = path.split('/');
    this.files.set(`/${cut[0]}/${cut[1]}/resolve/main/${cut.slice(2).join('/')}`, file);
  }

  requestsTo(host: SeenRequest['host']): SeenRequest[] {
    return this.requests.filter((request) => request.host === host);
  }

  async close(): Promise<void> {
    for (const { server } of [this.hub, this.cdn]) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  }

  private answer(host: SeenRequest['host'], request: IncomingMessage, response: ServerResponse): void {
    const { range, authorization } = request.headers;
    const path = decodeURIComponent(new URL(request.url!, this.endpoint).pathname);
    const seen = { host, path, range, authorization };
    const count = this.requestsTo(host).length;
    this.requests.push(seen);
    const fault = this.fault(seen, count);
    const file = this.files.get(path);
    if (fault?.kind === 'status') response.writeHead(fault.status, fault.headers).end();
    else if (fault?.kind === 'redirect') response.writeHead(302, { location: fault.location }).end();
    else if (!file) response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    else if (host === 'hub' && file.linked !== false) this.redirect(file, path, response);
    else this.send(file.bytes, range, fault, response);
  }

  private redirect({ bytes, linkedSize }: ModelServerFile, path: string, response: ServerResponse): void {
    const headers = {
      'x-linked-size': String(linkedSize ?? bytes.length),
      'x-linked-etag': `"${sha256(bytes)}"`,
      'x-repo-commit': '0'.repeat(40),
      'accept-ranges': 'bytes',
      location: `${this.cdn.url}${path}?signature=secret`,
    };
    response.writeHead(302, headers).end();
  }

  private send(
    bytes: Buffer,
    range: string | undefined,
    fault: ModelServerFault | undefined,
    response: ServerResponse,
  ): void {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    const partial = first !== undefined && fault?.kind !== 'no-ranges';
    const [from, to] = partial ? [Number(first), Math.min(Number(last) + 1, bytes.length)] : [0, bytes.length];
    if (from >= to) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const body = fault?.kind === 'corrupt' ? Buffer.alloc(to - from, 7) : bytes.subarray(from, to);
    const headers = {
      'content-length': String(body.length),
      etag: `"${sha256(bytes).slice(0, 16)}"`,
      ...(partial && { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` }),
    };
    response.writeHead(partial ? 206 : 200, headers);
    const sent = fault?.kind === 'cut' || fault?.kind === 'stall' ? body.subarray(0, fault.after) : body;
    this.sentBytes += sent.length;
    if (sent.length === body.length) response.end(body);
    else if (sent.length > 0) response.write(sent, () => fault?.kind === 'cut' && response.destroy());
    else if (fault?.kind === 'cut') response.destroy();
    else response.flushHeaders();
  }
}

async function listen(): Promise<Origin> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
