export { inCommits } from './commit-limits';
export { openConfiguredState } from './open-configured-state';
export { EtcdStateRepository } from './etcd/etcd-state-repository';
export type { EtcdOptions } from './etcd/etcd-state-repository';
export { SqliteStateRepository } from './sqlite/sqlite-state-repository';
export * from './state-repository';
