import { readFileSync } from 'node:fs';
import { Logger } from '@nestjs/common';

/**
 * The secrets as they are now: the first is the one to present, all of them are accepted. Never empty. A function, so that
 * it can be asked at each use and no logger prints what it holds.
 */
export type SecretSource = () => readonly string[];

/** How soon a replaced file takes effect. */
const RECHECK_MS = 1_000;

/**
 * The secrets in a file, read again while the process runs: an orchestrator replaces a mounted secret in place. A file that
 * has become unreadable or wrong changes nothing but the log: the last good secrets stay.
 *
 * @param parse throws for text that holds no secrets, without quoting it
 * @throws what reading or `parse` throws, now; never later
 */
export function secretFile(
  path: string,
  parse: (text: string) => readonly string[],
  now: () => number = () => performance.now(),
): SecretSource {
  let text = readFileSync(path, 'utf8');
  let secrets = parse(text);
  let readAt = now();
  let isStale = false;
  return () => {
    if (now() - readAt < RECHECK_MS) return secrets;
    readAt = now();
    try {
      const found = readFileSync(path, 'utf8');
      if (found !== text) {
        secrets = parse(found);
        text = found;
        new Logger('config').log({ event: 'secret_file_read', path, secrets: secrets.length });
      }
      isStale = false;
    } catch (error) {
      if (!isStale) new Logger('config').warn({ event: 'secret_file_refused', path, error: (error as Error).message });
      isStale = true;
    }
    return secrets;
  };
}
