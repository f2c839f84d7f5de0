import type { NodeKind } from '@pangalactic/scheduler';
import { CommandError } from '../command-error';

const KIND = /^(?:(\d{1,4})x)?(\d{1,7}(?:\.\d{1,3})?)GB$/i;
/** As many as the planner is made for. */
const MOST_NODES = 1000;
const GIGABYTE = 1024 ** 3;

/**
 * Nodes as a user writes them: `3x24GB,1x8GB`. A gigabyte of memory is 2^30 bytes, as its vendors count.
 * @throws CommandError
 */
export function parseNodeKinds(text: string): NodeKind[] {
  const kinds = text.split(',').map((part) => {
    const [, count, gigabytes] = KIND.exec(part.trim()) ?? [];
    return { count: Number(count ?? (gigabytes ? 1 : 0)), memoryBytes: Math.round(Number(gigabytes) * GIGABYTE) };
  });
  const nodes = kinds.reduce((sum, { count }) => sum + count, 0);
  if (kinds.every(({ count, memoryBytes }) => count > 0 && memoryBytes > 0) && nodes <= MOST_NODES) return kinds;
  throw new CommandError(`--nodes ${text}: allowed: up to ${MOST_NODES} nodes such as 3x24GB,1x8GB`);
}
