export { openStateRepository } from './open-state-repository';
export type { StateOptions } from './open-state-repository';
export { SqliteStateRepository } from './sqlite/sqlite-state-repository';
export * from './state-repository';
