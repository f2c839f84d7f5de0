import { setTimeout as delay } from 'node:timers/promises';
import { PangalacticError } from '@pangalactic/contracts';
import { Backoff } from '@pangalactic/transport';
import { castGrpcErrorMessage, type IEvent, type IWatchResponse } from 'etcd3';
import type { StateChanges } from '../state-repository';
import { CALL_DEADLINE_MS, type EtcdClient } from './etcd-client';
import { isAccessRefusal, stateError } from './etcd-errors';
import type { EtcdKeys } from './etcd-keys';

/**
 * The commits under a prefix from a revision on, over as many streams as it takes. What is next follows from the events
 * that were delivered alone: the revision in a header may be ahead of them, and whoever resumes there skips some.
 */
export async function* watchEntries(
  client: EtcdClient,
  keys: EtcdKeys,
  prefix: string,
  fromRevision: number,
  signal: AbortSignal,
): AsyncGenerator<StateChanges> {
  const backoff = new Backoff({ initialMs: 100, maxMs: 1_000, random: Math.random });
  let next = fromRevision;
  while (!signal.aborted) {
    try {
      // Renews the token, which streams do not do, and fails where the user may not read.
      await client.read({ key: keys.meta });
      for await (const response of responses(client, keys, prefix, next, signal)) {
        backoff.reset();
        for (const changes of inCommits(response.events, keys)) {
          next = changes.revision + 1;
          yield changes;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      const refused = isAccessRefusal(error) || (error instanceof PangalacticError && isAccessRefusal(error.cause));
      if (refused || (error instanceof PangalacticError && error.code === 'state_compacted')) {
        throw stateError(client.name, error);
      }
    }
    await delay(backoff.nextDelayMs(), undefined, { signal }).catch(() => undefined);
  }
}

/** Of one stream, until it breaks. Reads only as fast as they are taken. */
async function* responses(
  client: EtcdClient,
  keys: EtcdKeys,
  prefix: string,
  fromRevision: number,
  signal: AbortSignal,
): AsyncGenerator<IWatchResponse> {
  const stream = await client.openWatch();
  const cancel = () => stream.cancel();
  signal.addEventListener('abort', cancel);
  // A frozen member accepts connections and says nothing; grpc-js would wait for 20 s.
  const unanswered = setTimeout(cancel, CALL_DEADLINE_MS);
  try {
    if (signal.aborted) return;
    stream.write({ create_request: { ...keys.entriesUnder(prefix), start_revision: fromRevision } });
    for await (const response of stream as AsyncIterable<IWatchResponse>) {
      clearTimeout(unanswered);
      if (response.canceled) throw endOf(client.name, response, fromRevision);
      yield response;
    }
  } finally {
    clearTimeout(unanswered);
    signal.removeEventListener('abort', cancel);
    stream.cancel();
  }
}

function endOf(store: string, { compact_revision, cancel_reason }: IWatchResponse, fromRevision: number): Error {
  if (compact_revision === '0') return castGrpcErrorMessage(cancel_reason);
  return new PangalacticError(
    'state_compacted',
    `${store}: changes before revision ${compact_revision} are forgotten: revision ${fromRevision} cannot be watched from`,
  );
}

/** etcd never splits a commit over two responses. */
function inCommits(events: readonly IEvent[], keys: EtcdKeys): StateChanges[] {
  const commits = new Map<number, { key: string; value: string | undefined }[]>();
  for (const { type, kv } of events) {
    const revision = Number(kv.mod_revision);
    const changes = commits.get(revision) ?? [];
    changes.push({ key: keys.nameOf(kv.key), value: type === 'Delete' ? undefined : kv.value.toString() });
    commits.set(revision, changes);
  }
  return [...commits].map(([revision, changes]) => ({
    revision,
    changes: changes.sort((one, other) => (one.key < other.key ? -1 : 1)),
  }));
}
