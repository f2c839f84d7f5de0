import { randomUUID } from 'node:crypto';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { MigrationInterface, QueryRunner } from 'typeorm';

@Entity('entries')
export class EntryRow {
  @PrimaryColumn({ type: 'text' })
  key: string;

  @Column({ type: 'text' })
  value: string;

  @Column({ name: 'mod_revision', type: 'integer' })
  modRevision: number;
}

/** The store's own facts: one row. */
@Entity('meta')
export class MetaRow {
  @PrimaryColumn({ type: 'integer' })
  id: number;

  @Column({ name: 'cluster_id', type: 'text' })
  clusterId: string;

  @Column({ name: 'schema_version', type: 'integer' })
  schemaVersion: number;

  @Column({ type: 'integer' })
  revision: number;

  @Column({ type: 'integer' })
  term: number;
}

export const META_ID = 1;

class CreateEntriesAndMeta implements MigrationInterface {
  /** TypeORM orders migrations by the time stamp at the end. */
  readonly name = 'CreateEntriesAndMeta1764000000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE "entries" ("key" text PRIMARY KEY NOT NULL, "value" text NOT NULL, "mod_revision" integer NOT NULL)',
    );
    await runner.query(
      'CREATE TABLE "meta" ("id" integer PRIMARY KEY NOT NULL, "cluster_id" text NOT NULL, ' +
        '"schema_version" integer NOT NULL, "revision" integer NOT NULL, "term" integer NOT NULL)',
    );
    await runner.query('INSERT INTO "meta" VALUES (?, ?, 1, 0, 0)', [META_ID, randomUUID()]);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE "meta"');
    await runner.query('DROP TABLE "entries"');
  }
}

/** In order. The n-th one sets `schema_version` to n. */
export const MIGRATIONS = [CreateEntriesAndMeta];
/** Where TypeORM notes the migrations that have run. */
export const MIGRATIONS_TABLE = 'migrations';
