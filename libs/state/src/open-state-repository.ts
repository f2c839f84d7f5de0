import { EtcdStateRepository, type EtcdOptions } from './etcd/etcd-state-repository';
import { SqliteStateRepository } from './sqlite/sqlite-state-repository';
import type { StateRepository } from './state-repository';

export type StateOptions =
  { readonly backend: 'sqlite'; readonly sqlitePath: string } | ({ readonly backend: 'etcd' } & EtcdOptions);

/** For a Nest provider: `{ provide: STATE_REPOSITORY, useFactory: () => openStateRepository(options) }`. */
export async function openStateRepository(options: StateOptions): Promise<StateRepository> {
  return options.backend === 'sqlite'
    ? SqliteStateRepository.open(options.sqlitePath)
    : new EtcdStateRepository(options);
}
