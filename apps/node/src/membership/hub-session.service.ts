import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { formatAddress, NODE_CONFIG, parseAddress, type NodeConfig } from '@pangalactic/config';
import {
  type NodeSessionRequest,
  type NodeSessionResponse,
  PangalacticError,
  packageVersion,
  type Register,
  type Registered,
  toPangalacticError,
} from '@pangalactic/contracts';
import { DrainCoordinator } from '@pangalactic/lifecycle';
import {
  ACTIVATION_FORMATS,
  advertisedAddress,
  type Duplex,
  HubClients,
  reconnectBackoff,
} from '@pangalactic/transport';
import { NodeMetrics } from '../metrics/node-metrics';
import { ModelInventory } from '../models/model-inventory.service';
import { PipelineRegistry } from '../pipeline/pipeline-registry.service';
import { ClusterFence } from './cluster-fence';
import { isSimulated } from './compute-device';
import { NodeIdentity } from './node-identity';
import { OFFERED_MEMORY } from './node-memory';

const REGISTER_TIMEOUT_MS = 10_000;
/** What the hub gets to take note of an orderly leave. */
const LEAVE_TIMEOUT_MS = 1_000;

type Session = Duplex<NodeSessionRequest, NodeSessionResponse>;

/**
 * The node's membership: one stream to the hub, opened again for ever when it breaks. Pipelines do not depend on it: a
 * node without a hub keeps serving.
 */
@Injectable()
export class HubSession implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('membership');
  private readonly fence = new ClusterFence();
  /** No session begins any more. */
  private readonly leaving = new AbortController();
  private backoff = reconnectBackoff(Infinity, Math.random);
  private readonly hubs: HubClients;
  private current: Session | undefined;
  private running: Promise<void> = Promise.resolve();
  private hasRegistered = false;

  constructor(
    @Inject(NODE_CONFIG) private readonly config: NodeConfig,
    @Inject(OFFERED_MEMORY) private readonly memoryBytes: number,
    private readonly identity: NodeIdentity,
    private readonly inventory: ModelInventory,
    private readonly pipelines: PipelineRegistry,
    private readonly drain: DrainCoordinator,
    private readonly metrics: NodeMetrics,
  ) {
    this.hubs = new HubClients(config.hubAddresses.map(formatAddress), { clusterToken: config.clusterToken });
  }

  /** At least once since the process started: what it serves needs no hub after that. */
  get registeredOnce(): boolean {
    return this.hasRegistered;
  }

  onApplicationBootstrap(): void {
    this.drain.onDrain(() => this.leave());
    this.running = this.keepRegistered();
  }

  onApplicationShutdown(): void {
    this.leaving.abort();
    this.close();
  }

  /** Ends the session in good order: the hub routes nothing here any more and lets the pipelines finish what runs. */
  private async leave(): Promise<void> {
    this.leaving.abort();
    this.current?.end();
    await Promise.race([this.running, delay(LEAVE_TIMEOUT_MS, undefined, { ref: false })]);
    this.close();
  }

  private close(): void {
    this.hubs.close();
  }

  private async keepRegistered(): Promise<void> {
    const { signal } = this.leaving;
    // A hub that knows this node may call it at once.
    await Promise.race([this.drain.serving, once(signal, 'abort')]);
    while (!signal.aborted) {
      try {
        await this.session();
      } catch (error) {
        if (signal.aborted) return;
        await this.explain(error);
        this.hubs.failed(toPangalacticError(error).redirectTo);
      }
      await delay(this.backoff.nextDelayMs(), undefined, { signal }).catch(() => undefined);
    }
  }

  /** One session, until it breaks. */
  private async session(): Promise<void> {
    const hub = this.hubs.current;
    const session = hub.nodeSession();
    this.current = session;
    try {
      await session.send({ register: await this.registration() });
      const registered = await this.registered(session);
      const { reset } = this.fence.register(registered);
      if (reset) await this.pipelines.unloadAll('the node joined another cluster');
      this.hasRegistered = true;
      this.metrics.hubConnected(true);
      this.backoff = reconnectBackoff(registered.heartbeatIntervalMs, Math.random);
      this.logger.log({ event: 'registered', nodeId: this.identity.id, hub: hub.address, term: registered.term });
      await this.serve(session, registered.heartbeatIntervalMs);
    } finally {
      this.metrics.hubConnected(false);
      session.cancel();
    }
  }

  private async serve(session: Session, heartbeatIntervalMs: number): Promise<void> {
    // A send fails only when the session has ended, and the next registration tells everything again.
    const send = (message: NodeSessionRequest) => void session.send(message).catch(() => undefined);
    const stopStatuses = this.pipelines.onStatus((shardStatus) => send({ shardStatus }));
    const stopInventory = this.inventory.onChange(() => send({ inventory: this.inventory.inventory }));
    const heartbeat = setInterval(() => {
      session.trySend({ heartbeat: { stageTimes: this.pipelines.stageTimes(), links: this.pipelines.links() } });
    }, heartbeatIntervalMs);
    // What changed while the registration was on its way.
    for (const shardStatus of this.pipelines.statuses()) send({ shardStatus });
    try {
      for await (const command of session) this.obey(command);
    } finally {
      clearInterval(heartbeat);
      stopStatuses();
      stopInventory();
    }
    throw new PangalacticError('service_unavailable', 'the hub ended the session');
  }

  private obey({ load, unload }: NodeSessionResponse): void {
    const command = load ?? unload;
    if (!command) return;
    try {
      this.fence.admit(command);
    } catch (error) {
      this.logger.warn({ event: 'command_refused', reason: toPangalacticError(error).message });
      return;
    }
    if (load) this.pipelines.load(load);
    if (unload) void this.pipelines.unload(unload.pipelineId);
  }

  private async registration(): Promise<Register> {
    const { gpuComputeType, activationFormat, drainTimeoutMs } = this.config;
    return {
      nodeId: this.identity.id,
      address: await advertisedAddress(this.config, parseAddress(this.hubs.current.address)!),
      computeType: gpuComputeType,
      simulated: isSimulated(this.config),
      memoryBytes: this.memoryBytes,
      version: packageVersion(),
      inventory: this.inventory.inventory,
      shards: this.pipelines.statuses(),
      clusterId: this.fence.clusterId,
      term: this.fence.term,
      activationFormat: ACTIVATION_FORMATS[activationFormat],
      drainTimeoutMs,
    };
  }

  private async registered(session: Session): Promise<Registered> {
    const late = new PangalacticError('deadline_exceeded', 'the hub did not answer the registration');
    const timer = setTimeout(() => session.cancel(late), REGISTER_TIMEOUT_MS);
    try {
      const answer = await session.next();
      if (!answer.done && answer.value.registered) return answer.value.registered;
      throw new PangalacticError('invalid_frame', 'the hub did not begin with registered');
    } finally {
      clearTimeout(timer);
    }
  }

  private async explain(error: unknown): Promise<void> {
    const { code, message } = toPangalacticError(error);
    this.logger.warn({ event: 'hub_session_lost', hub: this.hubs.current.address, code, reason: message });
    if (code === 'node_id_taken' && !this.hasRegistered && (await this.identity.disambiguate())) {
      this.logger.log({ event: 'node_id_changed', nodeId: this.identity.id });
    }
  }
}
