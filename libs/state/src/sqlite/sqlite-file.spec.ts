import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEPT_CHANGES } from './sqlite-changes';
import { MIGRATIONS } from './sqlite-schema';
import { SqliteStateRepository, stateDataSource } from './sqlite-state-repository';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pangalactic-state-'));
  path = join(folder, 'hub.db');
});

afterEach(() => rm(folder, { recursive: true }));

const open = () => SqliteStateRepository.open(path);

/** A file as this version leaves it, with one entry. */
async function createState(): Promise<void> {
  const repository = await open();
  await repository.commit({ puts: [{ key: 'a', value: '1' }] });
  await repository.close();
}

function execute(sql: string): void {
  const connection = new Database(path);
  connection.exec(sql);
  connection.close();
}

describe('a second process on the same file', () => {
  /** Opens the file through this library in a process of its own; prints a line per acknowledged commit, for ever. */
  const PROGRAM = `
    import { readdirSync } from 'node:fs';
    import { runnerImport } from 'vite';
    const [root, sqlitePath] = process.argv.slice(1);
    const alias = Object.fromEntries(
      readdirSync(root + '/libs').map((lib) => ['@pangalactic/' + lib, root + '/libs/' + lib + '/src/index.ts']),
    );
    const options = { configFile: false, root, logLevel: 'error', resolve: { alias } };
    const { module } = await runnerImport(root + '/libs/state/src/sqlite/sqlite-state-repository.ts', options);
    try {
      const repository = await module.SqliteStateRepository.open(sqlitePath);
      for (let count = 1; ; count++) {
        await repository.commit({ puts: [{ key: 'count', value: String(count) }] });
        await new Promise((written) => process.stdout.write(count + '\\n', written));
      }
    } catch (error) {
      console.log(error.code + ' ' + error.message);
    }`;

  class Hub {
    output = '';
    readonly process = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, repositoryRoot(), path], {
      cwd: repositoryRoot(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    private readonly ended = once(this.process, 'close');

    constructor() {
      this.process.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    }

    /** The last line that was printed completely; undefined before there is one. */
    get line(): string | undefined {
      return this.output.split('\n').at(-2);
    }

    async printed(lines: number): Promise<void> {
      while (this.output.split('\n').length <= lines) await once(this.process.stdout, 'data');
    }

    async kill(): Promise<void> {
      this.process.kill('SIGKILL');
      await this.ended;
    }
  }

  it('is refused in one line while the first has it open', async () => {
    const first = await open();
    const second = new Hub();
    await second.printed(1);
    expect(second.output).toBe(`state_unavailable state file ${path}: in use by another process (a second hub?)\n`);
    await first.commit({ puts: [{ key: 'a', value: 'still works' }] });
    await first.close();
  });

  it('gets every acknowledged commit after the first was killed', async () => {
    const first = new Hub();
    await first.printed(50);
    await expect(open()).rejects.toMatchObject({ code: 'state_unavailable' });
    await first.kill();

    const survivor = await open();
    const stored = Number((await survivor.get('count'))?.value);
    await survivor.close();
    const acknowledged = Number(first.line);
    // One more may have been committed without its line getting out.
    expect([acknowledged, acknowledged + 1]).toContain(stored);
  });
});

describe('a file that is not ours to use', () => {
  it.each<[string, () => Promise<void>, RegExp]>([
    ['a text', () => writeFile(path, 'models:\n  - pangalactic-nano\n'), /not an SQLite database/],
    ['shorter than a header', () => writeFile(path, 'SQLite'), /not an SQLite database/],
    ['nothing but a header', () => writeFile(path, 'SQLite format 3\0'), /./],
    ['of another program', async () => execute('CREATE TABLE recipes (name text)'), /another program/],
    [
      'of a newer version',
      async () => {
        await createState();
        execute('UPDATE meta SET schema_version = 7');
      },
      /schema version 7 is newer than this hub's 2/,
    ],
    [
      'half-migrated: a table is missing',
      async () => {
        await createState();
        execute('DROP TABLE entries');
      },
      /half-way: a table is missing/,
    ],
    [
      'half-migrated: a migration is not recorded',
      async () => {
        await createState();
        execute('DELETE FROM migrations');
      },
      /half-way: version 2 with \[\]/,
    ],
    [
      'half-migrated: the second migration is recorded, its table is missing',
      async () => {
        await createState();
        execute('DROP TABLE changes');
      },
      /half-way: version 2 without table changes/,
    ],
    [
      'without its facts',
      async () => {
        await createState();
        execute('DELETE FROM meta');
      },
      /meta table is empty/,
    ],
    [
      'truncated',
      async () => {
        await createState();
        await truncate(path, 8192);
      },
      /./,
    ],
  ])('%s: refused and left as it is', async (_, create, reason) => {
    await create();
    const before = await readFile(path);
    const opened = open();
    await expect(opened).rejects.toMatchObject({ code: 'corrupt_state' });
    await expect(opened).rejects.toThrow(reason);
    await expect(opened).rejects.toThrow(`state file ${path}: `);
    expect(await readFile(path)).toEqual(before);
  });

  it('keeps its write-ahead log, too', async () => {
    await createState();
    const source = new Database(path);
    source.exec('UPDATE meta SET schema_version = 7');
    const original = path;
    path = join(folder, 'crashed.db');
    // The copy of an open database is what a killed process leaves: the update is in the log alone.
    const files = ['', '-wal'];
    for (const suffix of files) await copyFile(original + suffix, path + suffix);
    source.close();

    const read = () => Promise.all(files.map((suffix) => readFile(path + suffix)));
    const before = await read();
    await expect(open()).rejects.toThrow(/schema version 7/);
    expect(await read()).toEqual(before);
  });

  it('is refused when it is a folder, or lies in a file', async () => {
    await mkdir(path);
    await expect(open()).rejects.toMatchObject({ code: 'corrupt_state' });
    await writeFile(join(folder, 'file'), '');
    path = join(folder, 'file', 'hub.db');
    await expect(open()).rejects.toMatchObject({ code: 'state_unavailable' });
  });
});

describe('a file from a start that was cut short', () => {
  it.each<[string, () => Promise<void>]>([
    ['empty', () => writeFile(path, '')],
    [
      'with the table of migrations alone, as TypeORM leaves it',
      async () =>
        execute('CREATE TABLE migrations (id integer PRIMARY KEY AUTOINCREMENT, timestamp bigint, name varchar)'),
    ],
    [
      'with the table of migrations alone',
      async () => execute('CREATE TABLE migrations (id integer PRIMARY KEY, timestamp bigint, name varchar)'),
    ],
  ])('%s: is completed', async (_, create) => {
    await create();
    await createState();
    const repository = await open();
    expect((await repository.get('a'))?.value).toBe('1');
    await repository.close();
  });
});

describe('a file of the first version', () => {
  it('keeps what it holds, and cannot be watched from before', async () => {
    await createState();
    const dataSource = await stateDataSource(path).initialize();
    await dataSource.undoLastMigration();
    await dataSource.destroy();
    const repository = await open();
    const { entries, revision } = await repository.list('');
    expect(entries.map(({ key, value }) => [key, value])).toEqual([['a', '1']]);
    const past = repository.watch('', revision)[Symbol.asyncIterator]();
    await expect(past.next()).rejects.toMatchObject({ code: 'state_compacted' });
    await repository.close();
  });
});

describe('changes', () => {
  it('are forgotten when there are more than enough, and a watch from before says so', async () => {
    const repository = await open();
    const puts = (round: number) => Array.from({ length: 100 }, (_, key) => ({ key: `key-${key}`, value: `${round}` }));
    const rounds = KEPT_CHANGES / 100 + 2;
    const revisions: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const result = await repository.commit({ puts: puts(round) });
      if (result.outcome === 'applied') revisions.push(result.revision);
    }
    const firstFrom = async (revision: number) => {
      for await (const changes of repository.watch('', revision)) return changes;
      return undefined;
    };
    await expect(firstFrom(revisions[1]!)).rejects.toMatchObject({ code: 'state_compacted' });
    expect(await firstFrom(revisions[2]!)).toMatchObject({ revision: revisions[2], changes: { length: 100 } });
    await repository.close();
    const connection = new Database(path);
    expect(connection.prepare('SELECT COUNT(*) FROM changes').pluck().get()).toBe(KEPT_CHANGES);
    connection.close();
  });
});

describe('the schema', () => {
  it('of the entities is the one that the migrations create', async () => {
    const dataSource = await stateDataSource(path).initialize();
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    await dataSource.destroy();
    expect(upQueries.map(({ query }) => query)).toEqual([]);
  });

  it('can be taken back', async () => {
    const dataSource = await stateDataSource(path).initialize();
    for (const _ of MIGRATIONS) await dataSource.undoLastMigration();
    const tables: { name: string }[] = await dataSource.query(`SELECT name FROM sqlite_master WHERE type = 'table'`);
    await dataSource.destroy();
    expect(tables.map(({ name }) => name).filter((name) => !name.startsWith('sqlite_'))).toEqual(['migrations']);
  });
});
