import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ERROR_CATALOGUE,
  type ErrorCode,
  GrpcStatus,
  isErrorCode,
  PangalacticError,
  toPangalacticError,
} from './errors';
import { repositoryRoot } from './proto-path';

describe('the error catalogue', () => {
  it('is what docs/errors.md says', () => {
    const page = readFileSync(join(repositoryRoot(), 'docs/errors.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(\w+)` +\| (\w+) +\| (\d+) +\| (\w+) +\|/gm)].map((row) =>
      row.slice(1, 5),
    );
    const rows = Object.entries(ERROR_CATALOGUE).map(([code, { grpc, http, openai }]) => [
      ...[code, GrpcStatus[grpc], String(http), openai],
    ]);
    expect(documented).toEqual(rows);
  });

  it('has no code that nothing uses', () => {
    const root = repositoryRoot();
    const sources = ['apps', 'libs']
      .flatMap((folder) =>
        readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
      )
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !file.endsWith('contracts/src/errors.ts'))
      .map((file) => readFileSync(join(root, file), 'utf8'));
    const unused = Object.keys(ERROR_CATALOGUE).filter((code) => !sources.some((text) => text.includes(`'${code}'`)));
    expect(unused).toEqual([]);
  });

  it('knows its codes and no inherited names', () => {
    expect(isErrorCode('kv_gap')).toBe(true);
    for (const other of ['toString', 'nonsense', 7, undefined]) expect(isErrorCode(other)).toBe(false);
  });
});

describe('toPangalacticError', () => {
  it('keeps one as it is and wraps the rest as internal, with its cause', () => {
    const known = new PangalacticError('queue_full' satisfies ErrorCode, 'full', { retryAfterSeconds: 2 });
    expect(toPangalacticError(known)).toBe(known);
    const cause = new TypeError('oops');
    expect(toPangalacticError(cause)).toMatchObject({ code: 'internal_error', message: 'oops', cause });
    expect(toPangalacticError('text')).toMatchObject({ code: 'internal_error', message: 'text' });
  });
});
