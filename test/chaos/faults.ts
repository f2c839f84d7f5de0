import { setTimeout as delay } from 'node:timers/promises';
import type { Direction, FaultProxy, TestCluster } from '@pangalactic/testing';

/** Index into a pipeline of three stages: the spare node is where the next pipeline goes. */
export const ROLES = ['head', 'middle', 'tail', 'spare'] as const;
export type Role = (typeof ROLES)[number];

export type Fault =
  /** SIGKILL. Restarted at once, or only when every answer is there: until then the spare node has to do. */
  | { readonly kind: 'kill'; readonly restart: 'at once' | 'afterwards' }
  /** SIGSTOP, and SIGCONT after a while, or only when every answer is there. */
  | { readonly kind: 'freeze'; readonly forMs: number | 'until answered' }
  /** Packets to or from the node are lost for a while; its connections stay open. */
  | { readonly kind: 'stall'; readonly directions: readonly Direction[]; readonly forMs: number }
  /** Its connections are reset, and may be opened again. */
  | { readonly kind: 'disconnect' };

/** Some of them are over before anybody can notice, some outlive every deadline. */
const LONGEST_MS = 8_000;

export function drawFault(random: () => number): { role: Role; fault: Fault } {
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const role = pick([...ROLES.slice(0, 3), ...ROLES]);
  const forMs = Math.round(LONGEST_MS * random() ** 2);
  const kind = pick(['kill', 'kill', 'kill', 'freeze', 'stall', 'disconnect'] as const);
  switch (kind) {
    case 'kill':
      return { role, fault: { kind, restart: pick(['at once', 'afterwards']) } };
    case 'freeze':
      return { role, fault: { kind, forMs } };
    case 'stall': {
      const directions = pick<Direction[]>([['forward'], ['backward'], ['forward', 'backward']]);
      return { role, fault: { kind, directions, forMs } };
    }
    case 'disconnect':
      return { role, fault: { kind } };
  }
}

/**
 * Does it to a node.
 * @param proxy in front of the node
 * @param answered resolves when every answer is there
 * @returns when the node has been given back what was taken from it
 */
export async function inflict(
  fault: Fault,
  cluster: TestCluster,
  node: string,
  proxy: FaultProxy,
  answered: Promise<unknown>,
): Promise<void> {
  switch (fault.kind) {
    case 'kill':
      await cluster.kill(node);
      if (fault.restart === 'afterwards') await answered;
      cluster.start(node);
      break;
    case 'freeze': {
      const process = cluster.process(node);
      process.kill('SIGSTOP');
      await (fault.forMs === 'until answered' ? answered : delay(fault.forMs));
      process.kill('SIGCONT');
      break;
    }
    case 'stall':
      proxy.stall(...fault.directions);
      await delay(fault.forMs);
      proxy.restore(...fault.directions);
      break;
    case 'disconnect':
      proxy.disconnect();
  }
}
