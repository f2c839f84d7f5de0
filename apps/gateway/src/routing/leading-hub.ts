import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { formatAddress, GATEWAY_CONFIG, type GatewayConfig } from '@pangalactic/config';
import { HubClients } from '@pangalactic/transport';

/** The hub that leads, for as long as the process runs. */
@Injectable()
export class LeadingHub extends HubClients implements OnApplicationShutdown {
  constructor(@Inject(GATEWAY_CONFIG) { hubAddresses, clusterToken }: GatewayConfig) {
    super(hubAddresses.map(formatAddress), { clusterToken });
  }

  onApplicationShutdown(): void {
    this.close();
  }
}
