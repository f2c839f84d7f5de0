import { z } from 'zod';
import type { ByteRanges } from './byte-ranges';

/** What the server said of the file: a download goes on only while this stays the same. */
export interface FileIdentity {
  readonly bytes: number;
  /** The sha256, else the ETag or the time of the last change; empty if the server gives none of them. */
  readonly version: string;
}

/** Beside an unfinished file: which of its bytes are on disk. */
export interface Journal {
  readonly identity: FileIdentity;
  readonly received: ByteRanges;
}

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const SCHEMA = z.object({
  format: z.literal(1),
  identity: z.object({ bytes: count, version: z.string() }),
  received: z.array(z.tuple([count, count])),
});

export function formatJournal({ identity, received }: Journal): string {
  return JSON.stringify({ format: 1, identity, received: received.map(({ from, to }) => [from, to]) });
}

/** @returns undefined for text that is no journal, was cut, or claims impossible ranges */
export function parseJournal(text: string): Journal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { success, data } = SCHEMA.safeParse(value);
  if (!success) return undefined;
  const { identity } = data;
  const received = data.received.map(([from, to]) => ({ from, to }));
  const inOrder = received.every(({ from, to }, index) => from < to && (index === 0 || received[index - 1]!.to < from));
  return inOrder && (received.at(-1)?.to ?? 0) <= identity.bytes ? { identity, received } : undefined;
}

export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return one.bytes === other.bytes && one.version === other.version;
}
