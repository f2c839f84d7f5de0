import { SqliteStateRepository } from './sqlite/sqlite-state-repository';
import type { StateRepository } from './state-repository';

export interface StateOptions {
  readonly backend: 'sqlite';
  readonly sqlitePath: string;
}

/** For a Nest provider: `{ provide: STATE_REPOSITORY, useFactory: () => openStateRepository(options) }`. */
export function openStateRepository({ sqlitePath }: StateOptions): Promise<StateRepository> {
  return SqliteStateRepository.open(sqlitePath);
}
