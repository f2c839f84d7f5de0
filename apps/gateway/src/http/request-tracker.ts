import { Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Counter } from 'prom-client';
import { REQUESTS } from '../metrics/metric-providers';

const CLIENT_CLOSED_REQUEST = 499;

/**
 * Counts every HTTP request: in flight, for the drain, and by outcome. It follows the raw response, because Fastify's own
 * hooks do not see the end of a stream that was hijacked.
 */
@Injectable()
export class RequestTracker implements OnModuleInit {
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly drain: DrainCoordinator,
    @InjectMetric(REQUESTS) private readonly requests: Counter<'method' | 'route' | 'status'>,
  ) {}

  onModuleInit(): void {
    const fastify = this.adapterHost.httpAdapter.getInstance<FastifyInstance>();
    fastify.addHook('onRequest', (request, reply, next) => {
      this.track(request, reply);
      next();
    });
  }

  private track(request: FastifyRequest, reply: FastifyReply): void {
    // The next request of a kept connection shall go to a gateway that stays.
    if (this.drain.state !== 'SERVING') void reply.header('connection', 'close');
    const end = this.drain.begin();
    reply.raw.once('close', () => {
      end();
      this.requests.inc({
        method: request.method,
        route: request.routeOptions.url ?? 'unmatched',
        status: reply.raw.writableFinished ? reply.raw.statusCode : CLIENT_CLOSED_REQUEST,
      });
    });
  }
}
