import { connect } from 'node:net';
import { Injectable } from '@nestjs/common';
import { isServing } from '@pangalactic/transport';

const PROBE_DEADLINE_MS = 1_000;

/** Asks a node itself, when its session says nothing about it any more. */
@Injectable()
export class NodeProbe {
  /** False for a node that drains, too: it takes no more work. */
  isServing(address: string): Promise<boolean> {
    return isServing(address, PROBE_DEADLINE_MS);
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
