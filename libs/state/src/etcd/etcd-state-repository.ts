import { PangalacticError } from '@pangalactic/contracts';
import type { IKeyValue, IRangeResponse } from 'etcd3';
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
  StateRepository,
  StateSnapshot,
} from '../state-repository';
import { LeadershipQueue, OperationQueue } from '../waiting';
import { EtcdClient, type EtcdConnection } from './etcd-client';
import { EtcdElection } from './etcd-election';
import { EtcdKeys, put, remove, wasWrittenAt, type KeyRange } from './etcd-keys';
import { EtcdMeta } from './etcd-meta';
import { restoreEntries } from './etcd-restore';
import { watchEntries } from './etcd-watch';

export interface EtcdOptions extends EtcdConnection {
  /** Of all keys of this store; ends with a slash. */
  readonly prefix: string;
  /** How long a leader may be out of touch. */
  readonly leaseTtlMs: number;
}

const PAGE_ENTRIES = 100;
/** Each time etcd was compacted between two pages. */
const MAX_LIST_ATTEMPTS = 3;
const COMPACTED = 'required revision has been compacted';

/** The state in etcd, where several hubs can reach it. Connects when it is used, so it can be opened while etcd is away. */
export class EtcdStateRepository implements StateRepository {
  private readonly queue = new OperationQueue();
  private readonly leaders = new LeadershipQueue();
  private readonly closing = new AbortController();
  private readonly client: EtcdClient;
  private readonly keys: EtcdKeys;
  private readonly meta: EtcdMeta;
  private readonly election: EtcdElection;
  private current: Leadership | undefined;

  constructor({ prefix, leaseTtlMs, ...connection }: EtcdOptions) {
    this.client = new EtcdClient(connection);
    this.keys = new EtcdKeys(prefix);
    this.meta = new EtcdMeta(this.client, this.keys);
    this.election = new EtcdElection(this.client, this.keys, this.meta, (run) => this.inOrder(run), leaseTtlMs);
  }

  get(key: string): Promise<StateEntry | undefined> {
    return this.inOrder(async () => {
      await this.meta.settled();
      const { kvs } = await this.client.read({ key: this.keys.entry(key) });
      return kvs[0] && this.entryOf(kvs[0]);
    });
  }

  list(prefix: string): Promise<StateSnapshot> {
    return this.inOrder(async () => {
      await this.meta.settled();
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.readPages(this.keys.entriesUnder(prefix));
        } catch (error) {
          const compacted = error instanceof PangalacticError && error.message.includes(COMPACTED);
          if (!compacted || attempt === MAX_LIST_ATTEMPTS) throw error;
        }
      }
    });
  }

  async commit(commit: StateCommit): Promise<CommitResult> {
    assertCommitWithinLimits(commit);
    const { puts = [], deletes = [], guards = [] } = commit;
    return this.inOrder(async () => {
      const { term } = await this.meta.settled();
      const terms = guards.flatMap((guard) => ('term' in guard ? [guard.term] : []));
      // Another hub may have begun a term that this process has not seen yet.
      if (terms.some((guarded) => guarded !== term)) await this.meta.refreshed();
      const compare = guards.flatMap((guard) =>
        'key' in guard
          ? [wasWrittenAt(this.keys.entry(guard.key), guard.modRevision === 'absent' ? 0 : guard.modRevision)]
          : [],
      );
      const success = [
        ...puts.map(({ key, value }) => put(this.keys.entry(key), value)),
        ...deletes.map((key) => remove(this.keys.entry(key))),
      ];
      const response = await this.meta.transact((facts) =>
        terms.every((guarded) => guarded === facts.term) ? { compare, success } : undefined,
      );
      return response ? { outcome: 'applied', revision: Number(response.header.revision) } : { outcome: 'conflict' };
    });
  }

  async *watch(prefix: string, fromRevision: number, signal?: AbortSignal): AsyncGenerator<StateChanges> {
    yield* watchEntries(this.client, this.keys, prefix, fromRevision, this.endingWith(signal));
  }

  async lead({ address = '', signal }: Candidacy = {}): Promise<Leadership> {
    const ending = this.endingWith(signal);
    const leave = await this.leaders.enter(ending);
    try {
      const leadership = await this.election.win(address, ending);
      this.current = leadership;
      return { ...leadership, resign: () => leadership.resign().finally(leave) };
    } catch (error) {
      leave();
      throw error;
    }
  }

  currentTerm(): Promise<CurrentTerm> {
    return this.inOrder(async () => {
      const { clusterId, term } = await this.meta.refreshed();
      return { clusterId, term, leader: (await this.election.leader())?.address };
    });
  }

  async restore(backup: StateBackup, onProgress?: (entriesWritten: number) => void): Promise<void> {
    assertBackupWithinLimits(backup);
    return this.inOrder(() => restoreEntries(this.client.name, this.keys, this.meta, backup, onProgress));
  }

  async close(): Promise<void> {
    if (this.closing.signal.aborted) return;
    this.closing.abort(this.closedError());
    await this.queue.idle();
    await this.current?.resign();
    this.client.close();
  }

  /** One snapshot, whatever is written between the pages. */
  private async readPages({ key, range_end }: KeyRange): Promise<StateSnapshot> {
    const entries: StateEntry[] = [];
    let revision: string | undefined;
    let from = key;
    for (;;) {
      const page: IRangeResponse = await this.client.read({
        key: from,
        range_end,
        limit: PAGE_ENTRIES,
        ...(revision && { revision }),
      });
      revision ??= page.header.revision;
      entries.push(...page.kvs.map((stored) => this.entryOf(stored)));
      const last = page.kvs.at(-1);
      if (!page.more || !last) return { entries, revision: Number(revision) };
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  private entryOf({ key, value, mod_revision }: IKeyValue): StateEntry {
    return { key: this.keys.nameOf(key), value: value.toString(), modRevision: Number(mod_revision) };
  }

  private closedError(): PangalacticError {
    return new PangalacticError('state_unavailable', `${this.client.name}: closed`);
  }

  private endingWith(signal?: AbortSignal): AbortSignal {
    return signal ? AbortSignal.any([signal, this.closing.signal]) : this.closing.signal;
  }

  private inOrder<T>(operation: () => Promise<T>): Promise<T> {
    if (this.closing.signal.aborted) return Promise.reject(this.closedError());
    return this.queue.run(operation);
  }
}
