import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Controller } from '@nestjs/common';
import { GrpcStreamCall } from '@nestjs/microservices';
import type { NodeSessionRequest, NodeSessionResponse } from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import { handleDuplex } from '@pangalactic/transport';
import { NodeSessionService } from './node-session.service';

@Controller()
export class NodeSessionController {
  constructor(
    private readonly sessions: NodeSessionService,
    private readonly drain: DrainCoordinator,
  ) {}

  @GrpcStreamCall('HubService', 'NodeSession')
  nodeSession(call: ServerDuplexStream<NodeSessionRequest, NodeSessionResponse>): Promise<void> {
    return handleDuplex<NodeSessionResponse, NodeSessionRequest>(call, (channel) => this.sessions.serve(channel), {
      until: this.drain.closing,
    });
  }
}
