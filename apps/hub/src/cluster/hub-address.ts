import { Inject, Injectable } from '@nestjs/common';
import { formatAddress, HUB_CONFIG, parseAddress, type Address, type HubConfig } from '@pangalactic/config';
import { advertisedAddress } from '@pangalactic/transport';

/** Where nodes and other hubs reach this hub. */
@Injectable()
export class HubAddress {
  private found: string | undefined;

  constructor(@Inject(HUB_CONFIG) private readonly config: HubConfig) {}

  async find(): Promise<string> {
    // Nobody else can use the same SQLite file, so nobody is ever pointed here.
    if (this.config.stateBackend === 'sqlite') return formatAddress(this.config.bindAddress);
    this.found ??= await advertisedAddress(this.config, this.etcdAddress());
    return this.found;
  }

  private etcdAddress(): Address {
    const { host, port, protocol } = new URL(this.config.etcdEndpoints[0]!);
    const etcd = parseAddress(port ? host : `${host}:${protocol === 'https:' ? 443 : 80}`);
    if (!etcd) throw new Error(`no address in ${host}`);
    return etcd;
  }
}
