import type { Row } from '@pangalactic/contracts';

/** A row as rows of at most `maxTokens` tokens one after the other, of which the last samples. */
export function splitRow(row: Row, maxTokens: number): Row[] {
  const parts: Row[] = [];
  for (let done = 0; done < row.count; done += maxTokens) {
    const count = Math.min(maxTokens, row.count - done);
    parts.push({ ...row, start: row.start + done, count, sample: row.sample && done + count === row.count });
  }
  return parts;
}
