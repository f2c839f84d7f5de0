import { Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

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
    fastify.addHook('onRequest', (request, reply, next) => {
      this.track(request, reply);
      next();
    });
  }

  /** While draining, the next request of a kept connection shall go to a gateway that stays. */
  private track({ socket }: FastifyRequest, reply: FastifyReply): void {
    const isLeaving = () => this.drain.state !== 'SERVING';
    if (isLeaving()) void reply.header('connection', 'close');
    // An answer that began before has promised to keep its connection.
    reply.raw.once('finish', () => {
      if (isLeaving()) socket.destroySoon();
    });
    reply.raw.once('close', this.drain.begin());
  }
}
