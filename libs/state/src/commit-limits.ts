import { PangalacticError } from '@pangalactic/contracts';
import { MAX_COMMIT_BYTES, MAX_COMMIT_OPERATIONS, MAX_VALUE_BYTES } from './state-repository';
import type { StateBackup, StateCommit } from './state-repository';

/** Visible ASCII: every store orders such keys alike, and `prefix` + DEL is above every key with that prefix. */
const KEY = /^[\x21-\x7e]{1,512}$/;

/** Refuses what some store could not take, so that code tried on one adapter works on all. */
export function assertCommitWithinLimits({ puts = [], deletes = [], guards = [] }: StateCommit): void {
  assertCount('operations', puts.length + deletes.length);
  assertCount('guards', guards.length);
  const written = [...puts.map(({ key }) => key), ...deletes];
  const guarded = guards.flatMap((guard) => ('key' in guard ? [guard.key] : []));
  for (const key of [...written, ...guarded]) {
    if (!KEY.test(key)) invalid(`key ${JSON.stringify(key)}: allowed: 1 to 512 visible ASCII characters`);
  }
  const repeated = written.find((key, index) => written.indexOf(key) !== index);
  if (repeated !== undefined) invalid(`key "${repeated}" is written twice: allowed: one operation per key and commit`);

  let total = 0;
  for (const { key, value } of puts) {
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_VALUE_BYTES) tooLarge(`value of "${key}" has ${bytes} bytes: allowed: at most ${MAX_VALUE_BYTES}`);
    total += key.length + bytes;
  }
  if (total > MAX_COMMIT_BYTES) tooLarge(`commit has ${total} bytes: allowed: at most ${MAX_COMMIT_BYTES}`);
}

function assertCount(what: string, count: number): void {
  if (count > MAX_COMMIT_OPERATIONS) {
    tooLarge(`commit has ${count} ${what}: allowed: at most ${MAX_COMMIT_OPERATIONS}`);
  }
}

function invalid(message: string): never {
  throw new PangalacticError('invalid_request', message);
}

function tooLarge(message: string): never {
  throw new PangalacticError('payload_too_large', message);
}

/** Like a commit, but as large as a store can be. */
export function assertBackupWithinLimits({ entries }: StateBackup): void {
  for (const puts of inCommits(entries)) assertCommitWithinLimits({ puts });
  const seen = new Set<string>();
  for (const { key } of entries) {
    if (seen.has(key)) invalid(`key "${key}" is there twice: allowed: one entry per key`);
    seen.add(key);
  }
}

/** Splits writes so that each part is within the limits of one commit, in their order. */
export function inCommits<Write extends { readonly key: string; readonly value?: string }>(
  writes: readonly Write[],
): Write[][] {
  const commits: Write[][] = [];
  let room = 0;
  for (const write of writes) {
    const bytes = write.key.length + Buffer.byteLength(write.value ?? '');
    const current = commits.at(-1);
    if (current && current.length < MAX_COMMIT_OPERATIONS && bytes <= room) current.push(write);
    else {
      commits.push([write]);
      room = MAX_COMMIT_BYTES;
    }
    room -= bytes;
  }
  return commits;
}
