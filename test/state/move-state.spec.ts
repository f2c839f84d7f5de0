import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdStateRepository, SqliteStateRepository, type StateRepository } from '@pangalactic/state';
import { AppProcess, EtcdCluster, readyPipeline, startCluster, until } from '@pangalactic/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { openaiClient } from '../cluster/openai-client';
import { runToEnd } from '../cluster/run-to-end';

const CLI = 'apps/cli/src/main.js';

let etcd: EtcdCluster;
let folder: string;
let stores = 0;

beforeAll(async () => {
  etcd = await EtcdCluster.start();
});
afterAll(() => etcd?.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pangalactic-move-'));
});
afterEach(() => rm(folder, { recursive: true }));

const onSqlite = (name: string) => ({ HUB_STATE_BACKEND: 'sqlite', HUB_SQLITE_PATH: join(folder, name) });
const onEtcd = (prefix = `/moved-${++stores}/`) => ({
  HUB_STATE_BACKEND: 'etcd',
  HUB_ETCD_ENDPOINTS: etcd.endpoints.join(),
  HUB_ETCD_PREFIX: prefix,
});
const state = (command: 'export' | 'import', file: string, env: Record<string, string>) =>
  runToEnd(CLI, ['hub', 'state', command, file], env);

async function contentOf(repository: StateRepository) {
  const { entries } = await repository.list('');
  const term = await repository.currentTerm();
  await repository.close();
  return { entries: entries.map(({ key, value }) => ({ key, value })), ...term };
}

it('state goes from SQLite to etcd and back as it is, with a higher term each time', async () => {
  const original = await SqliteStateRepository.open(join(folder, 'old.db'));
  for (let turn = 0; turn < 3; turn++) await (await original.lead()).resign();
  const puts = Array.from({ length: 90 }, (_, index) => ({
    key: `nodes/${index}`,
    value: `{"ä":"${'x'.repeat(5_000)}\n"}`,
  }));
  for (let round = 0; round < 3; round++) {
    await original.commit({ puts: puts.map(({ key, value }) => ({ key: `${key}-${round}`, value })) });
  }
  const before = await contentOf(original);
  const [first, second] = [join(folder, 'first.jsonl'), join(folder, 'second.jsonl')];

  const exported = await state('export', first, onSqlite('old.db'));
  expect(exported).toEqual({
    code: 0,
    stdout: '',
    stderr: `exported 270 entries of cluster ${before.clusterId}, term 3\n`,
  });
  const moved = onEtcd();
  expect(await state('import', first, moved)).toMatchObject({ code: 0, stdout: '' });
  const inEtcd = await contentOf(
    new EtcdStateRepository({ endpoints: etcd.endpoints, prefix: moved.HUB_ETCD_PREFIX, leaseTtlMs: 10_000 }),
  );
  expect(inEtcd).toEqual({ ...before, term: before.term + 1 });

  const toStdout = await runToEnd(CLI, ['hub', 'state', 'export'], moved);
  await writeFile(second, toStdout.stdout);
  expect(await state('import', second, onSqlite('new.db'))).toMatchObject({ code: 0 });
  const back = await contentOf(await SqliteStateRepository.open(join(folder, 'new.db')));
  expect(back).toEqual({ ...before, term: before.term + 2 });
});

it('what cannot be right is refused in one line, and nothing is written', async () => {
  const file = join(folder, 'state.jsonl');
  const source = await SqliteStateRepository.open(join(folder, 'old.db'));
  await source.commit({ puts: [{ key: 'a', value: '1' }] });

  const inUse = await state('export', file, onSqlite('old.db'));
  expect(inUse).toMatchObject({ code: 1, stdout: '' });
  expect(inUse.stderr).toMatch(/^pangalactic: state file .*old\.db: in use by another process.*\n$/);
  await source.close();

  await state('export', file, onSqlite('old.db'));
  expect((await state('export', file, onSqlite('old.db'))).stderr).toBe(
    `pangalactic: ${file} exists: choose another file\n`,
  );
  for (const target of [onEtcd(), onSqlite('new.db')]) {
    const text = await readFile(file, 'utf8');
    const cut = join(folder, 'cut.jsonl');
    await writeFile(cut, text.slice(0, text.lastIndexOf('{')));
    expect((await state('import', cut, target)).stderr).toMatch(/^pangalactic: line 2 is not the end .*\n$/);
    expect((await state('import', file, target)).code).toBe(0);
    const again = await state('import', file, target);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^pangalactic: .*not empty.*\n$/);
  }
});

it('a running cluster goes on as it is when its hub moves from SQLite to etcd', async () => {
  const cluster = await startCluster({ nodes: 2 });
  onTestFinished(() => cluster.stop());
  const before = await cluster.view();
  const file = join(folder, 'state.jsonl');
  const { hub } = cluster.layout;
  expect(await cluster.process('hub').stop(10_000)).toMatchObject({ code: 0 });
  expect(await state('export', file, { HUB_SQLITE_PATH: hub.env.HUB_SQLITE_PATH! })).toMatchObject({ code: 0 });
  const moved = onEtcd();
  expect(await state('import', file, moved)).toMatchObject({ code: 0 });
  const onEtcdNow = AppProcess.start({ ...hub, env: { ...hub.env, ...moved } });
  onTestFinished(async () => void (await onEtcdNow.stop(10_000)));
  let last = before;
  await until(
    async () => {
      last = await cluster.view();
      return last.nodes.length === 2 && last.nodes.every(({ state }) => state === 'CONNECTED');
    },
    { timeoutMs: 20_000, message: () => `connected nodes; it is ${JSON.stringify(last)}` },
  );
  expect(last.clusterId).toBe(before.clusterId);
  expect(last.term).toBeGreaterThan(before.term);
  expect(last.pipelines.map(({ pipeline, state }) => [pipeline?.id, state])).toEqual([
    [readyPipeline(before)?.pipeline?.id, 'READY'],
  ]);
  const answer = await openaiClient(cluster).completions.create({
    model: 'pangalactic-nano',
    prompt: 'Once upon a time',
    max_tokens: 5,
  });
  expect(answer.usage?.completion_tokens).toBe(5);
});
