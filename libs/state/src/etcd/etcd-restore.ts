import { PangalacticError } from '@pangalactic/contracts';
import { inCommits } from '../commit-limits';
import type { StateBackup } from '../state-repository';
import { put, remove, wasWrittenAt, type EtcdKeys } from './etcd-keys';
import type { EtcdMeta, StoreFacts } from './etcd-meta';

/**
 * Too large for one transaction, so the store's facts say that it is under way: until the last step nobody else uses the
 * store, and a restore that is repeated begins by removing what an earlier one left.
 */
export async function restoreEntries(
  store: string,
  keys: EtcdKeys,
  meta: EtcdMeta,
  { clusterId, term, entries }: StateBackup,
  onProgress: (entriesWritten: number) => void = () => undefined,
): Promise<void> {
  const all = keys.entriesUnder('');
  const step = async (plan: Parameters<EtcdMeta['transact']>[0]): Promise<void> => {
    if (await meta.transact(plan, { duringRestore: true })) return;
    throw new PangalacticError(
      'state_conflict',
      `${store}: not empty, or a hub leads on it, so nothing was restored to it`,
    );
  };
  const marked = (facts: StoreFacts): StoreFacts => ({ ...facts, restoring: true });
  await step((facts) => ({
    compare: [wasWrittenAt(keys.leader, 0), ...(facts.restoring ? [] : [wasWrittenAt(all, 0)])],
    success: [remove(all)],
    facts: marked(facts),
  }));
  let written = 0;
  for (const batch of inCommits(entries)) {
    await step(() => ({ success: batch.map(({ key, value }) => put(keys.entry(key), value)) }));
    written += batch.length;
    onProgress(written);
  }
  await step((facts) => ({ facts: { ...facts, clusterId, term: Math.max(facts.term, term) + 1, restoring: false } }));
}
