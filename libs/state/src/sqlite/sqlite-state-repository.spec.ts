import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteStateRepository } from './sqlite-state-repository';
import { stateRepositoryContract } from '../state-repository.contract';

stateRepositoryContract('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-state-'));
  return {
    open: () => SqliteStateRepository.open(join(folder, 'missing', 'hub.db')),
    destroy: () => rm(folder, { recursive: true }),
  };
});
