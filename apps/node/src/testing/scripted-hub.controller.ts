import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcStreamCall } from '@nestjs/microservices';
import type { INestMicroservice } from '@nestjs/common';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { NodeSessionRequest, NodeSessionResponse, Register, ShardStatus } from '@pangalactic/contracts';
import { until } from '@pangalactic/testing';
import { type Duplex, GrpcServerHandle, grpcServerOptions, handleDuplex } from '@pangalactic/transport';

/** One node's session as the hub sees it. */
export class HubPeerSession {
  readonly messages: NodeSessionRequest[] = [];
  ended = false;
  /** The node ended the session in good order. */
  left = false;

  constructor(
    readonly register: Register,
    private readonly channel: Duplex<NodeSessionResponse, NodeSessionRequest>,
  ) {}

  send(response: NodeSessionResponse): Promise<void> {
    return this.channel.send(response);
  }

  /** Ends the session as a stopping hub does. */
  end(): void {
    this.channel.cancel();
  }

  get heartbeats(): number {
    return this.messages.filter(({ heartbeat }) => heartbeat).length;
  }

  statuses(pipelineId: string): ShardStatus[] {
    return this.messages.flatMap(({ shardStatus }) => (shardStatus?.pipelineId === pipelineId ? [shardStatus] : []));
  }
}

export type RegistrationAnswer = (register: Register) => NodeSessionResponse;

@Controller()
class ScriptedHubController {
  readonly sessions: HubPeerSession[] = [];
  hung: Promise<void> = Promise.resolve();
  answer: RegistrationAnswer = () => ({ registered: { clusterId: 'cluster-a', term: 1, heartbeatIntervalMs: 20 } });

  @GrpcStreamCall('HubService', 'NodeSession')
  nodeSession(call: ServerDuplexStream<NodeSessionRequest, NodeSessionResponse>): Promise<void> {
    return handleDuplex(call, (channel) => this.serve(channel));
  }

  private async serve(channel: Duplex<NodeSessionResponse, NodeSessionRequest>): Promise<void> {
    const first = await channel.next();
    if (first.done || !first.value.register) throw new Error('a session that does not begin with register');
    const session = new HubPeerSession(first.value.register, channel);
    this.sessions.push(session);
    await channel.send(this.answer(session.register));
    try {
      for await (const message of channel) session.messages.push(message);
      session.left = true;
    } finally {
      session.ended = true;
    }
    await this.hung;
  }
}

@Module({ controllers: [ScriptedHubController] })
class ScriptedHubModule {}

/** A peer that speaks the hub's side of the node session and does what a test tells it. */
export class ScriptedHub {
  private readonly controller: ScriptedHubController;

  private constructor(private readonly app: INestMicroservice) {
    this.controller = app.get(ScriptedHubController);
  }

  static async start(address: string): Promise<ScriptedHub> {
    const settings = { bindAddress: address, services: ['HubService'] as const, clusterToken: '' };
    const options = grpcServerOptions(settings, new GrpcServerHandle());
    const app = await NestFactory.createMicroservice(ScriptedHubModule, { ...options, logger: false });
    await app.listen();
    return new ScriptedHub(app);
  }

  get sessions(): readonly HubPeerSession[] {
    return this.controller.sessions;
  }

  /** From the next registration on. */
  answerWith(answer: RegistrationAnswer): void {
    this.controller.answer = answer;
  }

  /** From now on it takes note of a node that leaves only after this. */
  hangUntil(moment: Promise<void>): void {
    this.controller.hung = moment;
  }

  /** The n-th session, once it is there. */
  session(index = 0): Promise<HubPeerSession> {
    return until(() => this.sessions[index], { timeoutMs: 10_000, intervalMs: 5, message: `session ${index}` });
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.end();
    await this.app.close();
  }
}
