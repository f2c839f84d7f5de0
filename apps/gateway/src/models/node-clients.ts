import { Inject, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { GATEWAY_CONFIG } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import { connectNode } from '@pangalactic/transport';
import type { NodeClient } from '@pangalactic/transport';
import { RouteDirectory } from '../routing/route-directory';

/** A client on loan: its connection stays open until it is released. */
export interface NodeClientLease {
  readonly client: NodeClient;
  readonly release: () => void;
}

interface PooledClient {
  readonly client: NodeClient;
  users: number;
}

/** One connection per node, kept while a route leads there or a call runs on it. */
@Injectable()
export class NodeClients implements OnModuleInit, OnApplicationShutdown {
  private readonly pool = new Map<string, PooledClient>();

  constructor(
    private readonly directory: RouteDirectory,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  onModuleInit(): void {
    this.directory.onChange(() => {
      for (const address of this.pool.keys()) this.closeUnused(address);
    });
  }

  onApplicationShutdown(): void {
    for (const { client } of this.pool.values()) client.close();
    this.pool.clear();
  }

  borrow(address: string): NodeClientLease {
    let pooled = this.pool.get(address);
    if (!pooled) {
      pooled = { client: connectNode(address, { clusterToken: this.config.clusterToken }), users: 0 };
      this.pool.set(address, pooled);
    }
    const lent = pooled;
    lent.users += 1;
    const release = () => {
      lent.users -= 1;
      this.closeUnused(address);
    };
    return { client: lent.client, release };
  }

  private closeUnused(address: string): void {
    const pooled = this.pool.get(address);
    if (!pooled || pooled.users > 0 || this.directory.current?.usesAddress(address)) return;
    pooled.client.close();
    this.pool.delete(address);
  }
}
