import { randomUUID } from 'node:crypto';
import { Column, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
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

/** What a commit did to one key, for those who watch. */
@Entity('changes')
export class ChangeRow {
  @PrimaryGeneratedColumn({ type: 'integer' })
  id: number;

  @Index('changes_revision')
  @Column({ type: 'integer' })
  revision: number;

  @Column({ type: 'text' })
  key: string;

  /** Null: the key was deleted. */
  @Column({ type: 'text', nullable: true })
  value: string | null;
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

  /** Changes up to this revision are not all there any more. */
  @Column({ name: 'compacted_revision', type: 'integer', default: 0 })
  compactedRevision: number;
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

class CreateChanges implements MigrationInterface {
  readonly name = 'CreateChanges1764100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE TABLE "changes" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "revision" integer NOT NULL, ' +
        '"key" text NOT NULL, "value" text)',
    );
    await runner.query('CREATE INDEX "changes_revision" ON "changes" ("revision")');
    await runner.query('ALTER TABLE "meta" ADD COLUMN "compacted_revision" integer NOT NULL DEFAULT (0)');
    await runner.query('UPDATE "meta" SET "schema_version" = 2, "compacted_revision" = "revision"');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE "meta" DROP COLUMN "compacted_revision"');
    await runner.query('DROP TABLE "changes"');
    await runner.query('UPDATE "meta" SET "schema_version" = 1');
  }
}

/** In order. The n-th one sets `schema_version` to n. */
export const MIGRATIONS = [CreateEntriesAndMeta, CreateChanges];
/** The tables there are after the n-th migration. */
export const TABLES_OF_VERSION = [[], ['entries', 'meta'], ['entries', 'meta', 'changes']] as const;
/** Where TypeORM notes the migrations that have run. */
export const MIGRATIONS_TABLE = 'migrations';
