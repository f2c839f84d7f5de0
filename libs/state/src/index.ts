export { inCommits } from './commit-limits';
export { openStateRepository } from './open-state-repository';
export type { StateOptions } from './open-state-repository';
export { EtcdStateRepository } from './etcd/etcd-state-repository';
export type { EtcdOptions } from './etcd/etcd-state-repository';
export { SqliteStateRepository } from './sqlite/sqlite-state-repository';
export * from './state-repository';
