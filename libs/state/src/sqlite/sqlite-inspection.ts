import { open, stat } from 'node:fs/promises';
import Database from 'better-sqlite3';
import type { Database as Connection } from 'better-sqlite3';
import { corruptState, stateError } from './sqlite-errors';
import { META_ID, MIGRATIONS, MIGRATIONS_TABLE, TABLES_OF_VERSION } from './sqlite-schema';

/** What every SQLite file starts with. */
const MAGIC = 'SQLite format 3\0';
const STATE_TABLES = TABLES_OF_VERSION[1];

/**
 * Refuses a file that is not a state database this version can use, before anything is written to it:
 * through a connection that cannot write, because merely closing a writable one may fold the WAL into the file.
 */
export async function inspectStateFile(path: string, lockTimeoutMs: number): Promise<void> {
  const size = await fileSize(path);
  if (size === 0) return;
  if ((await firstBytes(path, MAGIC.length)) !== MAGIC) throw corruptState(path, 'not an SQLite database');
  let connection: Connection | undefined;
  try {
    connection = new Database(path, { readonly: true, timeout: lockTimeoutMs });
    inspectSchema(path, connection);
  } catch (error) {
    throw stateError(path, error);
  } finally {
    connection?.close();
  }
}

function inspectSchema(path: string, connection: Connection): void {
  const damage = connection.pragma('quick_check(1)', { simple: true });
  if (damage !== 'ok') throw corruptState(path, String(damage));

  const column = (sql: string): unknown[] => connection.prepare(sql).pluck().all();
  const tables = column(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'`);
  const applied = tables.includes(MIGRATIONS_TABLE)
    ? column(`SELECT name FROM "${MIGRATIONS_TABLE}" ORDER BY id`).map(String)
    : [];
  const present = STATE_TABLES.filter((table) => tables.includes(table));
  // TypeORM creates its table before the transaction of the migrations: a crash in between leaves that and no more.
  const others = tables.filter((table) => table !== MIGRATIONS_TABLE);
  if (others.length === 0 && applied.length === 0) return;
  if (present.length === 0 && applied.length === 0) throw corruptState(path, 'the database of another program');
  if (present.length < STATE_TABLES.length)
    throw corruptState(path, 'a migration stopped half-way: a table is missing');

  const [version] = column(`SELECT schema_version FROM meta WHERE id = ${META_ID}`);
  if (typeof version !== 'number') throw corruptState(path, 'the meta table is empty');
  if (version > MIGRATIONS.length) {
    throw corruptState(path, `schema version ${version} is newer than this hub's ${MIGRATIONS.length}`);
  }
  const missing = TABLES_OF_VERSION[version]?.find((table) => !tables.includes(table));
  if (missing) throw corruptState(path, `a migration stopped half-way: version ${version} without table ${missing}`);
  const expected = MIGRATIONS.slice(0, version).map((Migration) => new Migration().name);
  if (applied.join() !== expected.join()) {
    throw corruptState(path, `a migration stopped half-way: version ${version} with [${applied.join(', ')}]`);
  }
}

async function fileSize(path: string): Promise<number> {
  try {
    const status = await stat(path);
    if (!status.isFile()) throw corruptState(path, 'not a regular file');
    return status.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw stateError(path, error);
  }
}

async function firstBytes(path: string, count: number): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw stateError(path, error);
  }
}
