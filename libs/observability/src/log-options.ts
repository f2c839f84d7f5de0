import type { ServerResponse } from 'node:http';
import { stdTimeFunctions } from 'pino';
import type { LogFn, Logger } from 'pino';
import type { Options } from 'pino-http';

/** Nest's own start-up chatter, of use only to somebody who debugs the wiring. */
const FRAMEWORK_CONTEXTS = ['InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestFactory', 'NestApplication'];

/** Header and property names that hold credentials, wherever they turn up. */
const SECRETS = ['authorization', 'apiKey', 'clusterToken'];

interface PlainRequest {
  readonly id: unknown;
  readonly method?: string;
  readonly url?: string;
  readonly remoteAddress?: string;
}

/** Structured lines without bodies and headers: neither prompts nor credentials can get into the log. */
export function logOptions(processName: string, level: string): Options {
  return {
    level,
    base: { process: processName },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '***' },
    hooks: { logMethod: demoteFramework },

    // Set by Fastify before any middleware runs.
    genReqId: (request) => request.id,
    // Lines within a request carry its id; only the last one carries the request.
    quietReqLogger: true,
    customAttributeKeys: { reqId: 'requestId' },
    customLogLevel: (_request, response, error) => (error || response.statusCode >= 500 ? 'error' : 'info'),
    customSuccessObject: (_request, _response, line: object) => ({ event: 'http_request', ...line }),
    customErrorObject: (_request, _response, _error, line: object) => ({ event: 'http_request', ...line }),
    serializers: {
      req: ({ method, url, remoteAddress }: PlainRequest) => ({ method, path: pathOf(url), remoteAddress }),
      res: ({ statusCode }: ServerResponse) => ({ statusCode }),
    },
  };
}

function demoteFramework(this: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
  const [line] = args as [unknown, ...unknown[]];
  const context = typeof line === 'object' && line !== null && 'context' in line ? line.context : undefined;
  const demoted = level === this.levels.values.info && FRAMEWORK_CONTEXTS.includes(String(context));
  if (demoted) this.debug(...args);
  else method.apply(this, args);
}

/** The query is left out: callers put keys there, too. */
function pathOf(url = ''): string {
  return url.split('?', 1)[0]!;
}
