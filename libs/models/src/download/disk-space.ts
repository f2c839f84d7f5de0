import { statfs } from 'node:fs/promises';
import { PangalacticError } from '@pangalactic/contracts';

const FULL: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** @throws PangalacticError unless the file system of `dir` has room for so many more bytes */
export async function demandSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize < bytes) {
    throw new PangalacticError(
      'download_failed',
      `${dir} has ${gigabytes(bavail * bsize)} free, but the download needs ${gigabytes(bytes)} more`,
    );
  }
}

/** @returns undefined if the error is not that the disk is full */
export function describeFullDisk(error: unknown, dir: string): PangalacticError | undefined {
  if (!FULL.includes((error as NodeJS.ErrnoException).code)) return undefined;
  const message = `the disk of ${dir} is full: what has arrived is kept; make room and run the same command again`;
  return new PangalacticError('download_failed', message, { cause: error });
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;
}
