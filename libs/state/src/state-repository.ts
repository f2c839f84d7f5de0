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
  /** The term of `beginTerm` is still the current one: nobody has taken the lead since. */
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

export interface LeadershipTerm {
  /** Names the store. It never changes, so that a node notices when it talks to another cluster. */
  readonly clusterId: string;
  /** Higher than every term that was begun on this store before. */
  readonly term: number;
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
   * Writes all or nothing. The revision rises by one when something was written, and the written entries carry it;
   * deleting what is not there is no write.
   */
  commit(commit: StateCommit): Promise<CommitResult>;

  /** Starts to lead: commands that carry the term outrank those of every earlier leader. */
  beginTerm(): Promise<LeadershipTerm>;

  /** Waits for the operations under way; later ones fail with `state_unavailable`. */
  close(): Promise<void>;
}

export const STATE_REPOSITORY = Symbol('StateRepository');

/** Puts and deletes together, and guards, per commit. etcd's own default is 128. */
export const MAX_COMMIT_OPERATIONS = 100;
/** Of one value, in UTF-8. */
export const MAX_VALUE_BYTES = 256 * 1024;
/** Keys and values of one commit: etcd refuses requests above 1.5 MiB. */
export const MAX_COMMIT_BYTES = 1024 * 1024;
