import { Inject, Injectable } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { connectNode } from '@pangalactic/transport';

const PROBE_DEADLINE_MS = 1_000;

/** Asks whether anybody answers at a node's address. */
@Injectable()
export class NodeProbe {
  constructor(@Inject(HUB_CONFIG) private readonly config: HubConfig) {}

  async answers(address: string): Promise<boolean> {
    const client = connectNode(address, { clusterToken: this.config.clusterToken });
    try {
      // A model that no node has: any answer will do, a refusal too.
      const header = client.readModelHeader({ fingerprint: '' }, { deadlineMs: PROBE_DEADLINE_MS });
      await header.next();
      return true;
    } catch (error) {
      const { code } = toPangalacticError(error);
      return code !== 'service_unavailable' && code !== 'deadline_exceeded';
    } finally {
      client.close();
    }
  }
}
