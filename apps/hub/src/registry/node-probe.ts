import { connect } from 'node:net';
import { Inject, Injectable } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { isServing } from '@pangalactic/transport';

const PROBE_DEADLINE_MS = 1_000;

/** Asks a node itself, when its session says nothing about it any more. */
@Injectable()
export class NodeProbe {
  constructor(@Inject(HUB_CONFIG) private readonly config: HubConfig) {}

  /** False for a node that drains, too: it takes no more work. */
  isServing(address: string): Promise<boolean> {
    return isServing(address, { deadlineMs: PROBE_DEADLINE_MS, clusterToken: this.config.clusterToken });
  }

  /** Whether the machine says that nobody listens there: unlike silence, that is no matter of the network. */
  isRefused(address: string): Promise<boolean> {
    const { hostname, port } = new URL(`tcp://${address}`);
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), timeout: PROBE_DEADLINE_MS });
    return new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(false));
      socket.once('timeout', () => resolve(false));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
    }).finally(() => socket.destroy());
  }
}
