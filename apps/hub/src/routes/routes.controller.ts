import type { Metadata, ServerWritableStream } from '@grpc/grpc-js';
import { Controller } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type { WatchRoutesRequest, WatchRoutesResponse } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { streamResponse } from '@pangalactic/transport';
import type { Observable } from 'rxjs';
import { RouteTable } from './route-table';

@Controller()
export class RoutesController {
  constructor(
    private readonly routeTable: RouteTable,
    private readonly drain: DrainCoordinator,
  ) {}

  @GrpcMethod('HubService', 'WatchRoutes')
  watchRoutes(
    _request: WatchRoutesRequest,
    _metadata: Metadata,
    call: ServerWritableStream<never, WatchRoutesResponse>,
  ): Observable<never> {
    return streamResponse(call, (signal) => this.routeTable.watch(signal), { until: this.drain.closing });
  }
}
