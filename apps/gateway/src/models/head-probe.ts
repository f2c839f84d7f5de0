import { Inject, Injectable } from '@nestjs/common';
import { GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { isAnswering } from '@pangalactic/transport';

/** Long enough for a process that shares busy cores. */
const PROBE_DEADLINE_MS = 3_000;

/** Asks heads whether they are there: once at a time, for all the sequences that wait for one. */
@Injectable()
export class HeadProbe {
  private readonly asked = new Map<string, Promise<boolean>>();

  constructor(@Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig) {}

  answers(address: string): Promise<boolean> {
    const known = this.asked.get(address);
    if (known) return known;
    const answer = isAnswering(address, {
      deadlineMs: PROBE_DEADLINE_MS,
      clusterToken: this.config.clusterToken,
    }).finally(() => this.asked.delete(address));
    this.asked.set(address, answer);
    return answer;
  }
}
