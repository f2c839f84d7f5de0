export const HUB_OPTION = [
  '--hub-addr <host:port,...>',
  "the hub's gRPC address; of several hubs, all of them",
  'localhost:7100',
] as const;

export interface HubFlags {
  readonly hubAddr: string;
}

export interface ClusterFlags extends HubFlags {
  readonly json?: true;
}
