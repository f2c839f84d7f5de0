import type { ExecutionContext } from '@nestjs/common';

/** What the guards use of a Fastify request. */
export interface AuthenticatedRequest {
  readonly headers: { readonly authorization?: string };
  /** Address of the client. */
  readonly ip: string;
  /** Set once the API key was accepted: whom limits are counted for. Not the key itself. */
  apiKeyId?: string;
}

interface Reply {
  readonly raw: { setHeader(name: string, value: string): unknown };
}

export function requestOf(context: ExecutionContext): AuthenticatedRequest {
  return context.switchToHttp().getRequest<AuthenticatedRequest>();
}

/** On the raw response, so that it also reaches streams that are written past Fastify. */
export function setHeader(context: ExecutionContext, name: string, value: string | number): void {
  context.switchToHttp().getResponse<Reply>().raw.setHeader(name, String(value));
}
