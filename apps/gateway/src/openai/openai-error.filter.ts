import { Catch, HttpException, Logger } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import type { ErrorCode } from '@pangalactic/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GatewayMetrics } from '../metrics/gateway-metrics';
import { errorBody, retryAfter } from './responses/error-body';

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  404: 'not_found',
  413: 'payload_too_large',
  415: 'unsupported_media_type',
  429: 'rate_limit_exceeded',
  503: 'service_unavailable',
};

/** Everything that goes wrong before an answer has begun, as OpenAI's clients expect it. */
@Catch()
export class OpenAiErrorFilter implements ExceptionFilter {
  private readonly logger = new Logger(OpenAiErrorFilter.name);

  constructor(private readonly metrics: GatewayMetrics) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    if (reply.raw.headersSent || reply.raw.destroyed) {
      reply.raw.destroy();
      return;
    }
    const error = presentable(thrown);
    this.metrics.failed(error.code);
    if (error.code === 'internal_error') this.logDefect(thrown, request);
    const seconds = retryAfter(error);
    if (seconds !== undefined) void reply.header('retry-after', String(seconds));
    void reply.status(error.row.http).send(errorBody(error));
  }

  private logDefect(thrown: unknown, request: FastifyRequest): void {
    const cause = thrown instanceof PangalacticError ? (thrown.cause ?? thrown) : thrown;
    const stack = cause instanceof Error ? cause.stack : String(cause);
    this.logger.error({ event: 'request_failed', requestId: request.id, method: request.method, stack });
  }
}

/** What the framework throws (bad JSON, unknown URL, body too large) has a status and a message fit for clients. */
function presentable(thrown: unknown): PangalacticError {
  if (thrown instanceof PangalacticError) return thrown;
  const status = thrown instanceof HttpException ? thrown.getStatus() : statusCode(thrown);
  const code = CODE_BY_STATUS[status] ?? (status >= 400 && status < 500 ? 'invalid_request' : undefined);
  return code
    ? new PangalacticError(code, toPangalacticError(thrown).message, { cause: thrown })
    : toPangalacticError(thrown);
}

function statusCode(thrown: unknown): number {
  const { statusCode: status } = (thrown ?? {}) as { statusCode?: unknown };
  return typeof status === 'number' ? status : 500;
}
