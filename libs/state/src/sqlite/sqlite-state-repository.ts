import { PangalacticError } from '@pangalactic/contracts';
import type { Database as Connection } from 'better-sqlite3';
import { DataSource, In } from 'typeorm';
import type { EntityManager } from 'typeorm';
import { assertBackupWithinLimits, assertCommitWithinLimits } from '../commit-limits';
import type {
  Candidacy,
  CommitResult,
  CurrentTerm,
  Leadership,
  StateBackup,
  StateChanges,
  StateCommit,
  StateEntry,
  StateGuard,
  StateRepository,
  StateSnapshot,
} from '../state-repository';
import { LeadershipQueue, OperationQueue } from '../waiting';
import { keysUnder, readChanges, readMeta, recordChanges } from './sqlite-changes';
import { stateError } from './sqlite-errors';
import { inspectStateFile } from './sqlite-inspection';
import { ChangeRow, EntryRow, META_ID, MetaRow, MIGRATIONS, MIGRATIONS_TABLE } from './sqlite-schema';

/** How long the start waits for a predecessor that is just ending. SQLite blocks the thread meanwhile. */
const LOCK_TIMEOUT_MS = 1000;
/** SQLite limits the values of one statement. */
const RESTORED_AT_ONCE = 500;

/** The state in one SQLite file that this process alone may open. */
export class SqliteStateRepository implements StateRepository {
  /** One operation at a time: TypeORM has a single connection here, and would nest transactions that overlap. */
  private readonly queue = new OperationQueue();
  private readonly closing = new AbortController();
  /** Called after each commit. */
  private readonly watchers = new Set<() => void>();
  private readonly leaders = new LeadershipQueue();
  private leader: string | undefined;

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
      const entries = await manager.find(EntryRow, { where: { key: keysUnder(prefix) }, order: { key: 'ASC' } });
      return { entries, revision: (await readMeta(manager)).revision };
    });
  }

  async commit(commit: StateCommit): Promise<CommitResult> {
    assertCommitWithinLimits(commit);
    const { puts = [], deletes = [], guards = [] } = commit;
    const result = await this.inTransaction<CommitResult>(async (manager) => {
      const { revision, term } = await readMeta(manager);
      for (const guard of guards) {
        if (!(await holds(guard, term, manager))) return { outcome: 'conflict' };
      }
      const next = revision + 1;
      const removed = await manager.findBy(EntryRow, { key: In(deletes) });
      const changes = [...puts, ...removed.map(({ key }) => ({ key, value: null }))];
      if (changes.length === 0) return { outcome: 'applied', revision };
      if (removed.length > 0) await manager.delete(EntryRow, { key: In(deletes) });
      const rows = puts.map(({ key, value }) => ({ key, value, modRevision: next }));
      if (rows.length > 0) await manager.upsert(EntryRow, rows, ['key']);
      await recordChanges(manager, next, changes);
      await manager.update(MetaRow, META_ID, { revision: next });
      return { outcome: 'applied', revision: next };
    });
    for (const wake of this.watchers) wake();
    return result;
  }

  async *watch(prefix: string, fromRevision: number, signal?: AbortSignal): AsyncGenerator<StateChanges> {
    const ending = this.endingWith(signal);
    let next = fromRevision;
    let wake = () => {};
    const notify = () => wake();
    this.watchers.add(notify);
    ending.addEventListener('abort', notify);
    try {
      while (!ending.aborted) {
        // Before the store is read: a commit right after it must not be missed.
        const changed = new Promise<void>((resolve) => (wake = resolve));
        const { found, revision } = await this.inOrder(async (manager) => ({
          found: await readChanges(manager, prefix, next),
          revision: (await readMeta(manager)).revision,
        }));
        next = Math.max(next, (found ? found.revision : revision) + 1);
        if (found) yield found;
        else await changed;
      }
    } finally {
      this.watchers.delete(notify);
      ending.removeEventListener('abort', notify);
    }
  }

  /** Nobody else can have the file open, so leadership is only waited for within this process, and never lost. */
  async lead({ address = '', signal }: Candidacy = {}): Promise<Leadership> {
    const leave = await this.leaders.enter(this.endingWith(signal));
    try {
      const { clusterId, term } = await this.inTransaction(async (manager) => {
        await manager.increment(MetaRow, { id: META_ID }, 'term', 1);
        return readMeta(manager);
      });
      this.leader = address;
      const resign = async () => {
        this.leader = undefined;
        leave();
      };
      return { clusterId, term, lost: new AbortController().signal, resign };
    } catch (error) {
      leave();
      throw error;
    }
  }

  currentTerm(): Promise<CurrentTerm> {
    return this.inOrder(async (manager) => {
      const { clusterId, term } = await readMeta(manager);
      return { clusterId, term, leader: this.leader };
    });
  }

  async restore(backup: StateBackup, onProgress?: (entriesWritten: number) => void): Promise<void> {
    assertBackupWithinLimits(backup);
    const { clusterId, term, entries } = backup;
    return this.inTransaction(async (manager) => {
      const meta = await readMeta(manager);
      if ((await manager.count(EntryRow)) > 0) {
        throw new PangalacticError(
          'state_conflict',
          `state file ${this.path}: not empty, so nothing was restored to it`,
        );
      }
      const revision = meta.revision + 1;
      for (let from = 0; from < entries.length; from += RESTORED_AT_ONCE) {
        const rows = entries.slice(from, from + RESTORED_AT_ONCE);
        await manager.insert(
          EntryRow,
          rows.map(({ key, value }) => ({ key, value, modRevision: revision })),
        );
        onProgress?.(from + rows.length);
      }
      const higher = Math.max(meta.term, term) + 1;
      await manager.update(MetaRow, META_ID, { clusterId, term: higher, revision, compactedRevision: revision });
    });
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort(this.closedError());
    await this.queue.idle();
    await this.dataSource.destroy();
  }

  private get path(): string {
    return this.dataSource.options.database as string;
  }

  private closedError(): PangalacticError {
    return new PangalacticError('state_unavailable', `state file ${this.path}: closed`);
  }

  private endingWith(signal?: AbortSignal): AbortSignal {
    return signal ? AbortSignal.any([signal, this.closing.signal]) : this.closing.signal;
  }

  private inTransaction<T>(operation: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.inOrder((manager) => manager.transaction(operation));
  }

  private async inOrder<T>(operation: (manager: EntityManager) => Promise<T>): Promise<T> {
    if (this.closing.signal.aborted) throw this.closedError();
    try {
      return await this.queue.run(() => operation(this.dataSource.manager));
    } catch (error) {
      throw stateError(this.path, error);
    }
  }
}

/** Exported for the test that compares the entities with what the migrations create. */
export function stateDataSource(path: string): DataSource {
  return new DataSource({
    type: 'better-sqlite3',
    database: path,
    timeout: LOCK_TIMEOUT_MS,
    entities: [EntryRow, ChangeRow, MetaRow],
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

async function holds(guard: StateGuard, term: number, manager: EntityManager): Promise<boolean> {
  if ('term' in guard) return guard.term === term;
  const entry = await manager.findOneBy(EntryRow, { key: guard.key });
  return (entry?.modRevision ?? 'absent') === guard.modRevision;
}
