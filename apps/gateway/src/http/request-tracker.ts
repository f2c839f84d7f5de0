import { Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import type { FastifyInstance, FastifyReply } from 'fastify';

/**
 * Counts the HTTP requests in flight, for the drain. It follows the raw response, because Fastify's own hooks do not see the
 * end of a stream that was hijacked.
 */
@Injectable()
export class RequestTracker implements OnModuleInit {
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly drain: DrainCoordinator,
  ) {}

  onModuleInit(): void {
    const fastify = this.adapterHost.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onRequest', (_request, reply, next) => {
      this.track(reply);
      next();
    });
  }

  private track(reply: FastifyReply): void {
    // The next request of a kept connection shall go to a gateway that stays.
    if (this.drain.state !== 'SERVING') void reply.header('connection', 'close');
    reply.raw.once('close', this.drain.begin());
  }
}
