import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { formatAddress, GATEWAY_CONFIG, type GatewayConfig } from '@pangalactic/config';
import { toPangalacticError } from '@pangalactic/contracts';
import { connectHub, type HubClient } from '@pangalactic/transport';

/** Calls the hub that leads: the configured one, or the one that it names when it is a standby. */
@Injectable()
export class LeadingHub implements OnApplicationShutdown {
  private readonly configured: HubClient;
  private leader: HubClient | undefined;

  constructor(@Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig) {
    this.configured = this.connect(formatAddress(config.hubAddress));
  }

  onApplicationShutdown(): void {
    this.leader?.close();
    this.configured.close();
  }

  async call<T>(call: (hub: HubClient) => Promise<T>): Promise<T> {
    const hub = this.leader ?? this.configured;
    try {
      return await call(hub);
    } catch (error) {
      const { redirectTo } = toPangalacticError(error);
      // A leader that is lost is asked for anew where it is configured.
      if (hub === this.leader) this.follow(redirectTo);
      if (redirectTo === undefined) throw error;
      return call(this.follow(redirectTo) ?? this.configured);
    }
  }

  private follow(address: string | undefined): HubClient | undefined {
    if (this.leader?.address === address) return this.leader;
    this.leader?.close();
    this.leader = address === undefined ? undefined : this.connect(address);
    return this.leader;
  }

  private connect(address: string): HubClient {
    return connectHub(address, { clusterToken: this.config.clusterToken ?? '' });
  }
}
