import { randomUUID } from 'node:crypto';
import { PangalacticError } from '@pangalactic/contracts';
import type { ICompare, IKeyValue, IRequestOp, ITxnResponse } from 'etcd3';
import { z } from 'zod';
import type { EtcdClient } from './etcd-client';
import { corruptState, isRefusal, outcomeUnknown, stateError } from './etcd-errors';
import { put, wasWrittenAt, type EtcdKeys } from './etcd-keys';

const SCHEMA_VERSION = 1;
/** Each time somebody else has taken the lead or restored the store meanwhile. */
const MAX_ATTEMPTS = 5;

const storeFacts = z.object({
  clusterId: z.uuid(),
  schemaVersion: z.literal(SCHEMA_VERSION),
  term: z.number().int().nonnegative(),
  /** A restore has begun and not ended. */
  restoring: z.boolean(),
});

/** The store's own facts. */
export type StoreFacts = Readonly<z.infer<typeof storeFacts>>;

interface KnownFacts {
  readonly facts: StoreFacts;
  readonly modRevision: string;
}

export interface Transaction {
  readonly compare?: readonly ICompare[];
  readonly success?: readonly IRequestOp[];
  /** What the facts are afterwards, when they change. */
  readonly facts?: StoreFacts;
}

/**
 * The store's facts, which every write depends on: it is applied only while they are as its sender knew them. So a new
 * term ends all that an earlier leader still has under way, and rewriting them settles a write whose answer was lost:
 * from then on it has been applied, or never will be.
 */
export class EtcdMeta {
  private known: KnownFacts | undefined;
  private unsettled = false;

  constructor(
    private readonly client: EtcdClient,
    private readonly keys: EtcdKeys,
  ) {}

  /** As far as this process knows; nothing of what it wrote earlier is under way any more. */
  async settled(): Promise<StoreFacts> {
    return this.whole((await this.settle()).facts);
  }

  /** As they are. */
  async refreshed(): Promise<StoreFacts> {
    await this.settle();
    this.known = await this.load();
    return this.whole(this.known.facts);
  }

  /**
   * @param plan may be asked again, when the facts have changed
   * @returns undefined when there was no plan, or a comparison of it did not hold
   * @throws PangalacticError `state_outcome_unknown`, `state_unavailable`
   */
  async transact(
    plan: (facts: StoreFacts) => Transaction | undefined,
    { duringRestore = false } = {},
  ): Promise<ITxnResponse | undefined> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { facts, modRevision } = await this.settle();
      const transaction = plan(duringRestore ? facts : this.whole(facts));
      if (!transaction) return undefined;
      const { compare = [], success = [], facts: next } = transaction;
      const response = await this.write(modRevision, compare, [...success, ...(next ? [this.putFacts(next)] : [])]);
      if (response.succeeded) {
        if (next) this.known = { facts: next, modRevision: response.header.revision };
        return response;
      }
      this.known = this.parse(response.responses[0]?.response_range.kvs[0]);
      if (this.known.modRevision === modRevision) return undefined;
    }
    throw new PangalacticError('state_unavailable', `${this.client.name}: others keep changing it`);
  }

  private async settle(): Promise<KnownFacts> {
    this.known ??= await this.load();
    if (this.unsettled) {
      const { facts, modRevision } = this.known;
      const response = await this.write(modRevision, [], [this.putFacts(facts)]).catch((error: unknown) => {
        // Nothing that the caller asked for was sent.
        throw stateError(this.client.name, error instanceof PangalacticError ? error.cause : error);
      });
      this.known = response.succeeded
        ? { facts, modRevision: response.header.revision }
        : this.parse(response.responses[0]?.response_range.kvs[0]);
      this.unsettled = false;
    }
    return this.known;
  }

  private async write(modRevision: string, compare: readonly ICompare[], success: IRequestOp[]): Promise<ITxnResponse> {
    try {
      return await this.client.write({
        compare: [wasWrittenAt(this.keys.meta, modRevision), ...compare],
        success,
        failure: [{ request_range: { key: this.keys.meta } }],
      });
    } catch (error) {
      if (isRefusal(error)) throw stateError(this.client.name, error);
      this.unsettled = true;
      throw outcomeUnknown(this.client.name, error);
    }
  }

  private async load(): Promise<KnownFacts> {
    const { kvs } = await this.client.read({ key: this.keys.meta });
    return kvs.length > 0 ? this.parse(kvs[0]) : this.create();
  }

  private async create(): Promise<KnownFacts> {
    const { kvs } = await this.client.read({ ...this.keys.all(), limit: 1 });
    const facts = { clusterId: randomUUID(), schemaVersion: SCHEMA_VERSION, term: 0, restoring: false } as const;
    const stray = kvs.find(({ key }) => !key.equals(this.keys.meta));
    if (stray) throw this.corrupt(`there is ${stray.key.toString()}, but not what cluster it belongs to`);
    // By anybody: another hub may start at the same time.
    await this.client
      .write({ compare: [wasWrittenAt(this.keys.meta, 0)], success: [this.putFacts(facts)] })
      .catch((error: unknown) => {
        throw stateError(this.client.name, error);
      });
    const created = await this.client.read({ key: this.keys.meta });
    return this.parse(created.kvs[0]);
  }

  private whole(facts: StoreFacts): StoreFacts {
    if (facts.restoring) throw this.corrupt('a restore stopped half-way: repeat it');
    return facts;
  }

  private putFacts(facts: StoreFacts): IRequestOp {
    return put(this.keys.meta, JSON.stringify(facts));
  }

  private parse(stored: IKeyValue | undefined): KnownFacts {
    if (!stored) throw this.corrupt('it is gone');
    let json: unknown;
    try {
      json = JSON.parse(stored.value.toString());
    } catch (error) {
      throw this.corrupt('not JSON', error);
    }
    const { data: version } = z.object({ schemaVersion: z.number() }).safeParse(json);
    if (version && version.schemaVersion > SCHEMA_VERSION) {
      throw this.corrupt(`schema version ${version.schemaVersion} is newer than this hub's ${SCHEMA_VERSION}`);
    }
    const { data: facts, error } = storeFacts.safeParse(json);
    if (!facts) throw this.corrupt(`${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`, error);
    return { facts, modRevision: stored.mod_revision };
  }

  private corrupt(reason: string, cause?: unknown): PangalacticError {
    return corruptState(this.client.name, `${this.keys.meta.toString()}: ${reason}`, cause);
  }
}
