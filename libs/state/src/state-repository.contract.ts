import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MAX_COMMIT_BYTES, MAX_COMMIT_OPERATIONS, MAX_VALUE_BYTES } from './state-repository';
import type { StateBackup, StateChanges, StateCommit, StateRepository } from './state-repository';

const WAIT = { timeout: 10_000, interval: 10 };

/** An empty store of the adapter under test. */
export interface StateStore {
  open(): Promise<StateRepository>;
  /** After the repository was closed. */
  destroy(): Promise<void>;
}

/** Reads a watch until it ends. */
export function collect(watch: (signal: AbortSignal) => AsyncIterable<StateChanges>) {
  const seen: StateChanges[] = [];
  const stopped = new AbortController();
  const read = async () => {
    for await (const changes of watch(stopped.signal)) seen.push(changes);
  };
  const ended = read();
  const stop = (): Promise<void> => {
    stopped.abort();
    return ended;
  };
  return { seen, ended, stop };
}

/** What every adapter of the state port promises. */
export function stateRepositoryContract(adapter: string, createStore: () => Promise<StateStore>): void {
  describe(`state repository on ${adapter}`, () => {
    let store: StateStore;
    let repository: StateRepository;

    beforeEach(async () => {
      store = await createStore();
      repository = await store.open();
    });

    afterEach(async () => {
      await repository.close();
      await store.destroy();
    });

    const keys = async (prefix: string) => (await repository.list(prefix)).entries.map(({ key }) => key);
    const put = async (key: string, value: string): Promise<number> => {
      const result = await repository.commit({ puts: [{ key, value }] });
      if (result.outcome !== 'applied') throw new Error('an unguarded put cannot conflict');
      return result.revision;
    };
    const everything = () => repository.list('');

    describe('reading and writing', () => {
      it('has nothing at first', async () => {
        expect(await repository.get('nodes/a')).toBeUndefined();
        expect((await everything()).entries).toEqual([]);
      });

      it('reads what was written, with the revision of the commit', async () => {
        const revision = await put('nodes/a', '{"x":1}');
        expect(await repository.get('nodes/a')).toEqual({ key: 'nodes/a', value: '{"x":1}', modRevision: revision });
      });

      it('raises the revision with every write and overwrites', async () => {
        const first = await put('a', '1');
        const other = await put('b', '1');
        const second = await put('a', '2');
        expect(other).toBeGreaterThan(first);
        expect(second).toBeGreaterThan(other);
        expect(await everything()).toEqual({
          entries: [
            { key: 'a', value: '2', modRevision: second },
            { key: 'b', value: '1', modRevision: other },
          ],
          revision: second,
        });
      });

      it('gives all entries of one commit one revision', async () => {
        const puts = ['x', 'y', 'z'].map((key) => ({ key, value: key }));
        const result = await repository.commit({ puts });
        const { entries, revision } = await everything();
        expect(result).toEqual({ outcome: 'applied', revision });
        expect(entries.map(({ modRevision }) => modRevision)).toEqual([revision, revision, revision]);
      });

      it('deletes, in the same commit as it puts', async () => {
        await put('old', '1');
        await repository.commit({ puts: [{ key: 'new', value: '2' }], deletes: ['old'] });
        expect(await keys('')).toEqual(['new']);
        expect(await repository.get('old')).toBeUndefined();
      });

      it('takes the deletion of an absent key, and an empty commit, for no write', async () => {
        const revision = await put('a', '1');
        expect(await repository.commit({ deletes: ['b'] })).toEqual({ outcome: 'applied', revision });
        expect(await repository.commit({})).toEqual({ outcome: 'applied', revision });
        expect((await everything()).revision).toBe(revision);
      });

      it('keeps any text', async () => {
        const value = fc.string({ unit: 'binary', maxLength: 200 });
        await fc.assert(
          fc.asyncProperty(value, async (text) => {
            await put('text', text);
            expect((await repository.get('text'))?.value).toBe(text);
          }),
          { numRuns: 50 },
        );
      });
    });

    describe('listing', () => {
      it('is ordered by bytes and limited to the prefix, without wildcards', async () => {
        const all = ['a/_', 'a/b', 'a%', 'a/B', 'a', 'a0', 'a/~', 'b'];
        await repository.commit({ puts: all.map((key) => ({ key, value: '' })) });
        expect(await keys('a/')).toEqual(['a/B', 'a/_', 'a/b', 'a/~']);
        expect(await keys('a/_')).toEqual(['a/_']);
        expect(await keys('a%')).toEqual(['a%']);
        expect(await keys('')).toEqual(['a', 'a%', 'a/B', 'a/_', 'a/b', 'a/~', 'a0', 'b']);
        expect(await keys('c')).toEqual([]);
      });
    });

    describe('guards', () => {
      it('apply when each holds', async () => {
        const modRevision = await put('a', '1');
        const result = await repository.commit({
          puts: [{ key: 'b', value: '1' }],
          guards: [
            { key: 'a', modRevision },
            { key: 'b', modRevision: 'absent' },
          ],
        });
        expect(result).toEqual({ outcome: 'applied', revision: (await repository.get('b'))?.modRevision });
      });

      it('conflict when one does not hold, and then nothing is written', async () => {
        const modRevision = await put('a', '1');
        const before = await everything();
        const commit = { puts: [{ key: 'b', value: '1' }], deletes: ['a'] };
        const holding = { key: 'a', modRevision };
        for (const failing of [
          { key: 'a', modRevision: modRevision + 1 },
          { key: 'a', modRevision: modRevision - 1 },
          { key: 'a', modRevision: 'absent' as const },
          { key: 'b', modRevision },
        ]) {
          const result = await repository.commit({ ...commit, guards: [holding, failing] });
          expect(result).toEqual({ outcome: 'conflict' });
        }
        expect(await everything()).toEqual(before);
      });

      it('notice that a key was deleted and written again', async () => {
        const modRevision = await put('a', '1');
        await repository.commit({ deletes: ['a'] });
        await put('a', '1');
        const result = await repository.commit({ deletes: ['a'], guards: [{ key: 'a', modRevision }] });
        expect(result).toEqual({ outcome: 'conflict' });
      });

      it('hold for the current term only', async () => {
        const { term, resign } = await repository.lead();
        const write = (guarded: number) =>
          repository.commit({ puts: [{ key: 'a', value: '1' }], guards: [{ term: guarded }] });
        expect((await write(term)).outcome).toBe('applied');
        await resign();
        const next = await repository.lead();
        expect((await write(term)).outcome).toBe('conflict');
        expect((await write(next.term)).outcome).toBe('applied');
      });

      it('lose no update of writers at the same time', async () => {
        await put('counter', '0');
        const increment = async (): Promise<void> => {
          for (;;) {
            const entry = (await repository.get('counter'))!;
            const result = await repository.commit({
              puts: [{ key: 'counter', value: String(Number(entry.value) + 1) }],
              guards: [{ key: 'counter', modRevision: entry.modRevision }],
            });
            if (result.outcome === 'applied') return;
          }
        };
        await Promise.all(Array.from({ length: 20 }, increment));
        expect((await repository.get('counter'))?.value).toBe('20');
      });
    });

    it('behaves like a map, whatever is committed', async () => {
      const key = fc.constantFrom('a', 'a/b', 'a/c', 'b', 'b/a');
      const commits = fc.array(
        fc.record({
          puts: fc.uniqueArray(fc.record({ key, value: fc.string() }), { selector: (put) => put.key }),
          deletes: fc.uniqueArray(key),
          guarded: fc.option(key),
          stale: fc.boolean(),
        }),
        { maxLength: 20 },
      );
      await fc.assert(
        fc.asyncProperty(commits, async (sequence) => {
          const model = new Map((await everything()).entries.map((entry) => [entry.key, entry]));
          for (const { puts, deletes, guarded, stale } of sequence) {
            const fresh = deletes.filter((deleted) => puts.every((put) => put.key !== deleted));
            const known = guarded === null ? undefined : model.get(guarded)?.modRevision;
            const modRevision = known === undefined ? 'absent' : known - Number(stale);
            const guards = guarded === null ? [] : [{ key: guarded, modRevision } as const];
            const result = await repository.commit({ puts, deletes: fresh, guards });
            if (result.outcome === 'conflict') {
              expect(stale && known !== undefined).toBe(true);
              continue;
            }
            expect(stale && known !== undefined).toBe(false);
            for (const put of puts) model.set(put.key, { ...put, modRevision: result.revision });
            for (const deleted of fresh) model.delete(deleted);
          }
          const expected = [...model.values()].sort((one, other) => (one.key < other.key ? -1 : 1));
          expect((await everything()).entries).toEqual(expected);
        }),
        { numRuns: 20 },
      );
    });

    describe('limits', () => {
      const many = (count: number) => Array.from({ length: count }, (_, index) => `key-${index}`);
      const puts = (count: number, value = '') => many(count).map((key) => ({ key, value }));

      it.each<[string, () => StateCommit]>([
        ['the most puts', () => ({ puts: puts(MAX_COMMIT_OPERATIONS) })],
        ['the most deletes', () => ({ deletes: many(MAX_COMMIT_OPERATIONS) })],
        ['the longest value', () => ({ puts: [{ key: 'a', value: 'x'.repeat(MAX_VALUE_BYTES) }] })],
        ['the longest key', () => ({ puts: [{ key: 'k'.repeat(512), value: '' }] })],
      ])('admit %s', async (_, commit) => {
        expect((await repository.commit(commit())).outcome).toBe('applied');
      });

      const guard = (key: string) => ({ key, modRevision: 'absent' as const });
      const half = MAX_COMMIT_OPERATIONS / 2;
      it.each<[string, string, StateCommit, RegExp]>([
        [
          'too many puts',
          'payload_too_large',
          { puts: puts(MAX_COMMIT_OPERATIONS + 1) },
          /101 operations.*at most 100/,
        ],
        [
          'too many puts and deletes',
          'payload_too_large',
          { puts: puts(half), deletes: many(half + 1).map((key) => `old-${key}`) },
          /101 operations/,
        ],
        [
          'too many guards',
          'payload_too_large',
          { puts: puts(1), guards: many(MAX_COMMIT_OPERATIONS + 1).map(guard) },
          /101 guards/,
        ],
        [
          'a value with too many bytes',
          'payload_too_large',
          { puts: [{ key: 'big', value: 'é'.repeat(MAX_VALUE_BYTES / 2) + 'x' }] },
          /"big" has 262145 bytes: allowed: at most 262144/,
        ],
        [
          'too many bytes in all',
          'payload_too_large',
          { puts: puts(MAX_COMMIT_BYTES / MAX_VALUE_BYTES, 'x'.repeat(MAX_VALUE_BYTES)) },
          /commit has \d+ bytes/,
        ],
        ['an empty key', 'invalid_request', { puts: [{ key: '', value: '' }] }, /key ""/],
        ['a key with a space', 'invalid_request', { deletes: ['a b'] }, /key "a b"/],
        ['a key outside ASCII', 'invalid_request', { guards: [guard('ä')] }, /key "ä": allowed: 1 to 512/],
        ['a key too long', 'invalid_request', { deletes: ['k'.repeat(513)] }, /allowed: 1 to 512/],
        ['a key put twice', 'invalid_request', { puts: [...puts(1), ...puts(1)] }, /"key-0" is written twice/],
        ['a key put and deleted', 'invalid_request', { puts: puts(1), deletes: many(1) }, /written twice/],
      ])('refuse %s', async (_, code, commit, message) => {
        await put('here', 'before');
        const before = await everything();
        const committed = repository.commit(commit);
        await expect(committed).rejects.toMatchObject({ code });
        await expect(committed).rejects.toThrow(message);
        expect(await everything()).toEqual(before);
      });
    });

    describe('opened again', () => {
      const reopen = async () => {
        await repository.close();
        repository = await store.open();
      };

      it('has the same entries and revision', async () => {
        await put('a', '1');
        await put('b', '2');
        const before = await everything();
        await reopen();
        expect(await everything()).toEqual(before);
        expect(await put('c', '3')).toBeGreaterThan(before.revision);
      });

      it('has the same cluster id and a higher term', async () => {
        const first = await repository.lead();
        await first.resign();
        const second = await repository.lead();
        await reopen();
        expect(await repository.currentTerm()).toMatchObject({ clusterId: second.clusterId, term: second.term });
        const third = await repository.lead();
        expect(first.clusterId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        expect([second.clusterId, third.clusterId]).toEqual([first.clusterId, first.clusterId]);
        expect(second.term).toBeGreaterThan(first.term);
        expect(third.term).toBeGreaterThan(second.term);
      });

      it('watches on from where it stood', async () => {
        await put('a', '1');
        const revision = await put('b', '2');
        await reopen();
        const { seen, stop } = collect((signal) => repository.watch('', revision, signal));
        await put('c', '3');
        await expect.poll(() => seen.map(({ changes }) => changes[0]?.key), WAIT).toEqual(['b', 'c']);
        await stop();
      });
    });

    describe('watching', () => {
      it('tells what each commit did under the prefix, past and to come, once and in order', async () => {
        const revision = await put('a/1', 'old');
        const { seen, stop } = collect((signal) => repository.watch('a/', revision + 1, signal));
        const expected: StateChanges[] = [];
        const commit = async (puts: Record<string, string>, ...deletes: string[]) => {
          const entries = Object.entries(puts).map(([key, value]) => ({ key, value }));
          const result = await repository.commit({ puts: entries, deletes });
          const all = [...entries, ...deletes.map((key) => ({ key, value: undefined }))];
          const changes = all
            .filter(({ key }) => key.startsWith('a/'))
            .sort((one, other) => (one.key < other.key ? -1 : 1));
          if (result.outcome === 'applied' && changes.length > 0) expected.push({ revision: result.revision, changes });
        };
        await commit({ 'a/2': '1', 'a/1': 'x', b: '1' });
        await commit({ b: '2' });
        await commit({ 'a/3': 'ü' }, 'a/1');
        await expect.poll(() => seen, WAIT).toEqual(expected);
        await commit({}, 'a/3', 'b');
        await commit({ 'a/1': '' });
        await expect.poll(() => seen, WAIT).toEqual(expected);
        const again = collect((signal) => repository.watch('a/', revision + 1, signal));
        await expect.poll(() => again.seen, WAIT).toEqual(expected);
        await Promise.all([stop(), again.stop()]);
      });

      it('loses and doubles nothing while much is written', async () => {
        const from = (await everything()).revision + 1;
        const { seen, stop } = collect((signal) => repository.watch('', from, signal));
        const writers = Array.from({ length: 10 }, async (_, writer) => {
          for (let turn = 0; turn < 20; turn++) await put(`writer-${writer}`, String(turn));
        });
        await Promise.all(writers);
        await expect.poll(() => seen.length, WAIT).toBe(200);
        const revisions = seen.map(({ revision }) => revision);
        expect(revisions).toEqual([...new Set(revisions)].sort((one, other) => one - other));
        for (let writer = 0; writer < 10; writer++) {
          const values = seen.flatMap(({ changes }) => changes.filter(({ key }) => key === `writer-${writer}`));
          expect(values.map(({ value }) => Number(value))).toEqual(Array.from({ length: 20 }, (_, turn) => turn));
        }
        await stop();
      });

      it('waits for a reader that is slow', async () => {
        const revision = (await everything()).revision + 1;
        const iterator = repository.watch('', revision)[Symbol.asyncIterator]();
        const first = iterator.next();
        for (let count = 0; count < 100; count++) await put('a', String(count));
        const taken = [await first];
        while (taken.length < 100) taken.push(await iterator.next());
        expect(taken.map(({ value }) => (value as StateChanges).changes[0]?.value)).toEqual(
          Array.from({ length: 100 }, (_, count) => String(count)),
        );
        await iterator.return?.();
      });

      it('ends when its reader goes away, its signal aborts or the repository is closed', async () => {
        const from = (await everything()).revision + 1;
        const watch = (signal?: AbortSignal) => repository.watch('', from, signal);
        const watches = [collect(() => watch()), collect(watch), collect(() => watch())] as const;
        await put('a', '1');
        for (const { seen } of watches) await expect.poll(() => seen.length, WAIT).toBe(1);
        for await (const { changes } of watch()) {
          expect(changes).toHaveLength(1);
          break;
        }
        await watches[1].stop();
        await repository.close();
        await Promise.all(watches.map(({ ended }) => ended));
        await collect(() => watch()).ended;
      });
    });

    describe('leading', () => {
      it('begins with the term that is current then', async () => {
        const before = await repository.currentTerm();
        const { clusterId, term, lost, resign } = await repository.lead({ address: 'hub-1:7100' });
        expect(before).toEqual({ clusterId, term: before.term, leader: undefined });
        expect(term).toBeGreaterThan(before.term);
        expect(await repository.currentTerm()).toEqual({ clusterId, term, leader: 'hub-1:7100' });
        expect(lost.aborted).toBe(false);
        await resign();
        expect(await repository.currentTerm()).toEqual({ clusterId, term, leader: undefined });
      });

      it('waits for the one who leads to resign, in the order of the calls', async () => {
        const first = await repository.lead();
        const order: string[] = [];
        const following = ['second', 'third'].map(async (name) => {
          const leadership = await repository.lead();
          order.push(name);
          return leadership;
        });
        await put('a', '1');
        expect(order).toEqual([]);
        await first.resign();
        const second = await following[0]!;
        expect(order).toEqual(['second']);
        expect(second.term).toBeGreaterThan(first.term);
        await second.resign();
        await (await following[1]!).resign();
        expect(order).toEqual(['second', 'third']);
      });

      it('is not waited for any longer than wanted', async () => {
        const { resign } = await repository.lead();
        const patience = new AbortController();
        const waiting = repository.lead({ signal: patience.signal });
        patience.abort();
        await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
        await resign();
        await expect(repository.lead({ signal: patience.signal })).rejects.toMatchObject({ code: 'cancelled' });
        await (await repository.lead()).resign();
        await repository.lead();
        const late = expect(repository.lead()).rejects.toMatchObject({ code: 'state_unavailable' });
        await repository.close();
        await late;
      });
    });

    describe('restoring', () => {
      const entries = Array.from({ length: 250 }, (_, index) => ({
        key: `key-${String(index).padStart(3, '0')}`,
        value: 'x'.repeat((index % 10) * 2_000),
      }));
      const backup: StateBackup = { clusterId: '3f0a4f1c-5cf5-4c11-9f8e-0b8f5cf1a2b3', term: 41, entries };

      it('takes over entries and cluster id, and goes on with higher terms', async () => {
        const progress: number[] = [];
        await repository.restore(backup, (written) => progress.push(written));
        expect((await everything()).entries.map(({ key, value }) => ({ key, value }))).toEqual(entries);
        expect(progress.at(-1)).toBe(entries.length);
        expect(progress).toEqual([...progress].sort((one, other) => one - other));
        const { clusterId, term } = await repository.lead();
        expect(clusterId).toBe(backup.clusterId);
        expect(term).toBeGreaterThan(backup.term);
        expect(await put('key-001', 'new')).toBeGreaterThan(0);
      });

      it('can be repeated when it was cut short', async () => {
        const cutShort = repository.restore(backup, () => {
          throw new Error('the power failed');
        });
        await expect(cutShort).rejects.toThrow('the power failed');
        const fewer = { ...backup, entries: entries.slice(100) };
        await repository.restore(fewer);
        expect((await everything()).entries.map(({ key, value }) => ({ key, value }))).toEqual(fewer.entries);
        expect((await repository.currentTerm()).clusterId).toBe(backup.clusterId);
      });

      it.each([
        ['a key that no store takes', [{ key: 'a b', value: '' }], 'invalid_request'],
        ['a key twice', [...entries, entries[0]!], 'invalid_request'],
        ['a value too large', [{ key: 'a', value: 'x'.repeat(MAX_VALUE_BYTES + 1) }], 'payload_too_large'],
      ])('refuses %s before it writes anything', async (_, bad, code) => {
        await expect(repository.restore({ ...backup, entries: bad })).rejects.toMatchObject({ code });
        expect((await everything()).entries).toEqual([]);
      });

      it('makes no term lower', async () => {
        for (let turn = 0; turn < 3; turn++) await (await repository.lead()).resign();
        const before = await repository.currentTerm();
        await repository.restore({ ...backup, term: 1, entries: [] });
        const { clusterId, term } = await repository.currentTerm();
        expect(clusterId).toBe(backup.clusterId);
        expect(term).toBeGreaterThan(before.term);
      });

      it('is refused by a store that has anything', async () => {
        await put('a', '1');
        const before = await everything();
        await expect(repository.restore(backup)).rejects.toMatchObject({
          code: 'state_conflict',
          message: expect.stringContaining('not empty') as string,
        });
        expect(await everything()).toEqual(before);
      });
    });

    it('has another cluster id than another store', async () => {
      const otherStore = await createStore();
      const other = await otherStore.open();
      const ids = [await repository.currentTerm(), await other.currentTerm()].map(({ clusterId }) => clusterId);
      await other.close();
      await otherStore.destroy();
      expect(new Set(ids).size).toBe(2);
    });

    it('finishes what was asked before close and refuses what comes after', async () => {
      const pending = Promise.all([put('a', '1'), put('b', '2'), everything()]);
      await repository.close();
      expect((await pending)[2].entries).toHaveLength(2);
      const calls = [repository.get('a'), repository.list(''), repository.commit({}), repository.lead()];
      for (const outcome of await Promise.allSettled<unknown>(calls)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'state_unavailable' } });
      }
      await repository.close();
    });
  });
}
