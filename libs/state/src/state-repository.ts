/** One key with its text. `modRevision` is the revision of the commit that last wrote it. */
export interface StateEntry {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
}

export interface StateSnapshot {
  /** In the order of their keys. */
  readonly entries: readonly StateEntry[];
  /** The store's revision at which `entries` was all there was. */
  readonly revision: number;
}

/** A condition on the store as it is just before the commit. */
export type StateGuard =
  | { readonly key: string; readonly modRevision: number | 'absent' }
  /** The term of `lead` is still the current one: nobody has taken the lead since. */
  | { readonly term: number };

export interface StateCommit {
  readonly puts?: readonly { readonly key: string; readonly value: string }[];
  readonly deletes?: readonly string[];
  readonly guards?: readonly StateGuard[];
}

export type CommitResult =
  | { readonly outcome: 'applied'; readonly revision: number }
  /** A guard did not hold; nothing was written. */
  | { readonly outcome: 'conflict' };

/** What one commit wrote (or deleted, where there is no value), in the order of the keys. */
export interface StateChanges {
  readonly revision: number;
  readonly changes: readonly { readonly key: string; readonly value: string | undefined }[];
}

export interface LeadershipTerm {
  /** Names the store. It never changes, so that a node notices when it talks to another cluster. */
  readonly clusterId: string;
  /** Higher than every term that was begun on this store before. */
  readonly term: number;
}

export interface CurrentTerm extends LeadershipTerm {
  /** The address of the one who leads now, undefined while nobody does. */
  readonly leader: string | undefined;
}

export interface Candidacy {
  /** Where others find this candidate when it leads. */
  readonly address?: string;
  readonly signal?: AbortSignal;
}

export interface Leadership extends LeadershipTerm {
  /** Aborts, with a PangalacticError, when somebody else may lead. Nothing may be commanded after that. */
  readonly lost: AbortSignal;
  /** Lets the next one lead at once. */
  readonly resign: () => Promise<void>;
}

/** A whole store, to be carried to another one. */
export interface StateBackup extends LeadershipTerm {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
}

/**
 * The hub's state: one ordered space of keys. Operations take effect one after another, in the order of the calls.
 *
 * Failures are PangalacticErrors: `invalid_request` and `payload_too_large` for a commit outside the limits below,
 * `state_unavailable` when the store cannot be reached, `corrupt_state` when it cannot be trusted.
 */
export interface StateRepository {
  get(key: string): Promise<StateEntry | undefined>;

  /** Everything whose key starts with `prefix`; the empty prefix means everything. */
  list(prefix: string): Promise<StateSnapshot>;

  /**
   * Writes all or nothing. The revision rises when something was written, and the written entries carry it; deleting
   * what is not there is no write.
   * @throws PangalacticError `state_outcome_unknown` when the answer was lost: it may have been applied. Whatever the
   * next call finds is final.
   */
  commit(commit: StateCommit): Promise<CommitResult>;

  /**
   * Commits that touched the prefix, in order and without a gap, from that revision on: past ones, then new ones as they
   * happen. Ends when the signal aborts or the repository is closed; outlives a store that is away for a while.
   * @throws PangalacticError `state_compacted` when the store has forgotten some of them: list again, then watch on
   */
  watch(prefix: string, fromRevision: number, signal?: AbortSignal): AsyncIterable<StateChanges>;

  /**
   * Waits until nobody else leads, and leads with a new term: commands that carry it outrank those of earlier leaders.
   * @throws PangalacticError `cancelled` when the signal aborts first
   */
  lead(candidacy?: Candidacy): Promise<Leadership>;

  /** The term of the current leader, or of the last one. */
  currentTerm(): Promise<CurrentTerm>;

  /**
   * Fills an empty store, which then continues the other: it has its cluster id, and its terms are higher. One that was
   * cut short leaves a store that refuses everything else until it is repeated.
   * @throws PangalacticError `state_conflict` when the store is not empty
   */
  restore(backup: StateBackup, onProgress?: (entriesWritten: number) => void): Promise<void>;

  /** Waits for the operations under way; later ones fail with `state_unavailable`. Resigns. */
  close(): Promise<void>;
}

export const STATE_REPOSITORY = Symbol('StateRepository');

/** Puts and deletes together, and guards, per commit. etcd's own default is 128. */
export const MAX_COMMIT_OPERATIONS = 100;
/** Of one value, in UTF-8. */
export const MAX_VALUE_BYTES = 256 * 1024;
/** Keys and values of one commit: etcd refuses requests above 1.5 MiB. */
export const MAX_COMMIT_BYTES = 1024 * 1024;
