import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';

export const REQUEST_ID_HEADER = 'x-request-id';

/** Safe to echo in a header and to print in a log line. */
const SANE = /^[A-Za-z0-9._:-]{1,128}$/;

/** The id that the caller gave the request, or a new one. */
export function requestIdFrom(headers: IncomingHttpHeaders): string {
  const given = headers[REQUEST_ID_HEADER];
  return typeof given === 'string' && SANE.test(given) ? given : randomUUID();
}

/** Gives every HTTP request its id (Fastify's `request.id`) and sends it back in the response. */
@Injectable()
export class RequestIdInstaller implements OnModuleInit {
  constructor(private readonly host: HttpAdapterHost) {}

  onModuleInit(): void {
    const adapter = this.host.httpAdapter as unknown as FastifyAdapter | undefined;
    // A module under test may have no server.
    if (adapter?.getType() !== 'fastify') return;
    const server = adapter.getInstance();
    server.setGenReqId(({ headers }: { headers: IncomingHttpHeaders }) => requestIdFrom(headers));
    server.addHook('onRequest', (request, reply, done) => {
      // On the raw response, so that it also reaches streams that are written past Fastify.
      reply.raw.setHeader(REQUEST_ID_HEADER, request.id);
      done();
    });
  }
}
