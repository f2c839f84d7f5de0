import type { ICompare, IRequestOp } from 'etcd3';

/** Where a store lies in etcd's one space of keys. */
export class EtcdKeys {
  /** The store's own facts: see EtcdMeta. */
  readonly meta: Buffer;
  /** Is there while somebody leads; belongs to the leader's lease. */
  readonly leader: Buffer;
  private readonly entries: string;

  constructor(readonly prefix: string) {
    this.meta = Buffer.from(`${prefix}meta`);
    this.leader = Buffer.from(`${prefix}leader`);
    this.entries = `${prefix}entries/`;
  }

  entry(key: string): Buffer {
    return Buffer.from(this.entries + key);
  }

  nameOf(entry: Buffer): string {
    return entry.toString().slice(this.entries.length);
  }

  entriesUnder(prefix: string): KeyRange {
    return rangeOf(this.entries + prefix);
  }

  /** Everything of this store, its own facts too. */
  all(): KeyRange {
    return rangeOf(this.prefix);
  }
}

export interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

/** Keys are visible ASCII, so the last byte of a prefix can always be raised. */
function rangeOf(prefix: string): KeyRange {
  const end = Buffer.from(prefix);
  end[end.length - 1]! += 1;
  return { key: Buffer.from(prefix), range_end: end };
}

/** Never written since revision 0 means that the key is absent. For a range: each of its keys. */
export function wasWrittenAt(key: Buffer | KeyRange, modRevision: number | string): ICompare {
  const range = Buffer.isBuffer(key) ? { key } : key;
  return { ...range, target: 'Mod', result: 'Equal', mod_revision: modRevision };
}

export function put(key: Buffer, value: string, lease?: string): IRequestOp {
  return { request_put: { key, value: Buffer.from(value), ...(lease && { lease }) } };
}

export function remove(key: Buffer | KeyRange): IRequestOp {
  return { request_delete_range: Buffer.isBuffer(key) ? { key } : key };
}
