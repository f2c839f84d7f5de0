import { PangalacticError } from '@pangalactic/contracts';
import type { Database as Connection } from 'better-sqlite3';
import { And, DataSource, In, LessThan, MoreThanOrEqual } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { assertCommitWithinLimits } from './commit-limits';
import { stateError } from './sqlite-errors';
import { inspectStateFile } from './sqlite-inspection';
import { EntryRow, META_ID, MetaRow, MIGRATIONS, MIGRATIONS_TABLE } from './sqlite-schema';
import type {
  CommitResult,
  LeadershipTerm,
  StateCommit,
  StateEntry,
  StateGuard,
  StateRepository,
  StateSnapshot,
} from './state-repository';

/** How long the start waits for a predecessor that is just ending. SQLite blocks the thread meanwhile. */
const LOCK_TIMEOUT_MS = 1000;
/** Sorts after every character that a key may have. */
const ABOVE_KEYS = '\x7f';

/** The state in one SQLite file that this process alone may open. */
export class SqliteStateRepository implements StateRepository {
  /** Settled when the operation asked for last has ended. */
  private last: Promise<unknown> = Promise.resolve();
  private closed = false;

  private constructor(private readonly dataSource: DataSource) {}

  /** Opens or creates the file (and its folder) and brings its schema up to date. */
  static async open(path: string): Promise<SqliteStateRepository> {
    await inspectStateFile(path, LOCK_TIMEOUT_MS);
    try {
      return new SqliteStateRepository(await stateDataSource(path).initialize());
    } catch (error) {
      throw stateError(path, error);
    }
  }

  get(key: string): Promise<StateEntry | undefined> {
    return this.inOrder(async (manager) => (await manager.findOneBy(EntryRow, { key })) ?? undefined);
  }

  list(prefix: string): Promise<StateSnapshot> {
    return this.inOrder(async (manager) => {
      const key = And(MoreThanOrEqual(prefix), LessThan(prefix + ABOVE_KEYS));
      const entries = await manager.find(EntryRow, { where: { key }, order: { key: 'ASC' } });
      return { entries, revision: (await meta(manager)).revision };
    });
  }

  async commit(commit: StateCommit): Promise<CommitResult> {
    assertCommitWithinLimits(commit);
    const { puts = [], deletes = [], guards = [] } = commit;
    return this.inOrder((manager) =>
      manager.transaction(async (transaction) => {
        const { revision, term } = await meta(transaction);
        for (const guard of guards) {
          if (!(await holds(guard, term, transaction))) return { outcome: 'conflict' };
        }
        const next = revision + 1;
        const removed = deletes.length > 0 ? await transaction.delete(EntryRow, { key: In(deletes) }) : undefined;
        if (puts.length === 0 && !removed?.affected) return { outcome: 'applied', revision };
        const rows = puts.map(({ key, value }) => ({ key, value, modRevision: next }));
        if (rows.length > 0) await transaction.upsert(EntryRow, rows, ['key']);
        await transaction.update(MetaRow, META_ID, { revision: next });
        return { outcome: 'applied', revision: next };
      }),
    );
  }

  beginTerm(): Promise<LeadershipTerm> {
    return this.inOrder((manager) =>
      manager.transaction(async (transaction) => {
        await transaction.increment(MetaRow, { id: META_ID }, 'term', 1);
        const { clusterId, term } = await meta(transaction);
        return { clusterId, term };
      }),
    );
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.last;
    await this.dataSource.destroy();
  }

  /** One operation at a time: TypeORM has a single connection here, and would nest transactions that overlap. */
  private inOrder<T>(operation: (manager: EntityManager) => Promise<T>): Promise<T> {
    const path = this.dataSource.options.database as string;
    if (this.closed) {
      return Promise.reject(new PangalacticError('state_unavailable', `state file ${path}: closed`));
    }
    const result = this.last
      .then(() => operation(this.dataSource.manager))
      .catch((error: unknown) => {
        throw stateError(path, error);
      });
    this.last = result.catch(() => undefined);
    return result;
  }
}

/** Exported for the test that compares the entities with what the migrations create. */
export function stateDataSource(path: string): DataSource {
  return new DataSource({
    type: 'better-sqlite3',
    database: path,
    timeout: LOCK_TIMEOUT_MS,
    entities: [EntryRow, MetaRow],
    migrations: MIGRATIONS,
    migrationsTableName: MIGRATIONS_TABLE,
    migrationsRun: true,
    logging: false,
    enableWAL: true,
    prepareDatabase: (connection: Connection) => {
      // Held from the first access until the process ends: a second hub cannot even read.
      connection.pragma('locking_mode = EXCLUSIVE');
      // An acknowledged commit survives a power failure (WAL would otherwise default to NORMAL, which may lose the last).
      connection.pragma('synchronous = FULL');
    },
  });
}

function meta(manager: EntityManager): Promise<MetaRow> {
  return manager.findOneByOrFail(MetaRow, { id: META_ID });
}

async function holds(guard: StateGuard, term: number, manager: EntityManager): Promise<boolean> {
  if ('term' in guard) return guard.term === term;
  const entry = await manager.findOneBy(EntryRow, { key: guard.key });
  return (entry?.modRevision ?? 'absent') === guard.modRevision;
}
