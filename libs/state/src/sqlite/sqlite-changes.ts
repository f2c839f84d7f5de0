import { PangalacticError } from '@pangalactic/contracts';
import { And, LessThan, LessThanOrEqual, MoreThanOrEqual } from 'typeorm';
import type { EntityManager, FindOperator } from 'typeorm';
import type { StateChanges } from '../state-repository';
import { ChangeRow, META_ID, MetaRow } from './sqlite-schema';

/** Rows that are kept for those who watch. */
export const KEPT_CHANGES = 10_000;
/** Sorts after every character that a key may have. */
const ABOVE_KEYS = '\x7f';

export function keysUnder(prefix: string): FindOperator<string> {
  return And(MoreThanOrEqual(prefix), LessThan(prefix + ABOVE_KEYS));
}

export function readMeta(manager: EntityManager): Promise<MetaRow> {
  return manager.findOneByOrFail(MetaRow, { id: META_ID });
}

/** Writes down what a commit did, and forgets the oldest changes. */
export async function recordChanges(
  manager: EntityManager,
  revision: number,
  changes: readonly Pick<ChangeRow, 'key' | 'value'>[],
): Promise<void> {
  await manager.insert(
    ChangeRow,
    changes.map(({ key, value }) => ({ revision, key, value })),
  );
  const newest = await manager.maximum(ChangeRow, 'id');
  const forgotten = { id: LessThanOrEqual((newest ?? 0) - KEPT_CHANGES) };
  const compactedRevision = await manager.maximum(ChangeRow, 'revision', forgotten);
  if (compactedRevision === null) return;
  await manager.delete(ChangeRow, forgotten);
  await manager.update(MetaRow, META_ID, { compactedRevision });
}

/**
 * What the first commit from that revision on did under the prefix, or nothing if there is none.
 * @throws PangalacticError `state_compacted`
 */
export async function readChanges(
  manager: EntityManager,
  prefix: string,
  fromRevision: number,
): Promise<StateChanges | undefined> {
  const { compactedRevision } = await readMeta(manager);
  if (fromRevision <= compactedRevision) {
    throw new PangalacticError(
      'state_compacted',
      `changes up to revision ${compactedRevision} are forgotten: revision ${fromRevision} cannot be watched from`,
    );
  }
  const key = keysUnder(prefix);
  const first = await manager.findOne(ChangeRow, {
    where: { key, revision: MoreThanOrEqual(fromRevision) },
    order: { revision: 'ASC' },
  });
  if (!first) return undefined;
  const { revision } = first;
  const rows = await manager.find(ChangeRow, { where: { key, revision }, order: { key: 'ASC' } });
  return { revision, changes: rows.map((row) => ({ key: row.key, value: row.value ?? undefined })) };
}
