import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadCliConfig } from './cli-config';
import { loadGatewayConfig } from './gateway-config';
import { loadHubConfig } from './hub-config';
import { loadNodeConfig } from './node-config';
import { secretFile } from './secret-source';
import { ConfigError } from './variable';
import type { Environment } from './variable';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secret-'));
  file = join(folder, 'token');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const write = (text: string) => writeFileSync(file, text);

type Loaded = Record<string, (() => readonly string[]) | undefined>;
const loads = (load: (environment: Environment) => object, key: string, variable: string) => ({
  variable,
  read: (environment: Environment) => (load(environment) as Loaded)[key]?.(),
});

describe.each([
  loads(loadHubConfig, 'clusterToken', 'PANGALACTIC_CLUSTER_TOKEN'),
  loads(loadNodeConfig, 'clusterToken', 'PANGALACTIC_CLUSTER_TOKEN'),
  loads(loadGatewayConfig, 'clusterToken', 'PANGALACTIC_CLUSTER_TOKEN'),
  loads(loadCliConfig, 'clusterToken', 'PANGALACTIC_CLUSTER_TOKEN'),
  loads(loadGatewayConfig, 'apiKey', 'GATEWAY_API_KEY'),
])('$variable in a file', ({ variable, read }) => {
  const fromFile = (path: string, more: Environment = {}) => read({ [`${variable}_FILE`]: path, ...more });

  it.each([
    ['one secret', 'sesame', ['sesame']],
    ['a line break at the end', 'sesame\n', ['sesame']],
    ['lines of another system', 'next\r\nlast\r\n', ['next', 'last']],
    ['several on a line', 'next,last\n\nolder', ['next', 'last', 'older']],
  ])('%s', (_, text, expected) => {
    write(text);
    expect(fromFile(file)).toEqual(expected);
  });

  it.each([
    ['nothing', ''],
    ['blank lines', '\n \n'],
    ['a space inside', 'open sesame'],
    ['something else', 'schlüssel sesame\n'],
  ])('%s stops the start with one line that does not quote it', (_, text) => {
    write(text);
    expect(() => fromFile(file)).toThrow(ConfigError);
    expect(() => fromFile(file)).toThrow(new RegExp(`^${variable}_FILE="${file}": allowed: a readable file with .+$`));
    expect(() => fromFile(file)).not.toThrow(/sesame/);
  });

  it('that is not there, is a folder, or beside the variable itself, is refused', () => {
    expect(() => fromFile(join(folder, 'none'))).toThrow(/ENOENT/);
    expect(() => fromFile(folder)).toThrow(/EISDIR/);
    write('sesame');
    expect(() => fromFile(file, { [variable]: 'other' })).toThrow(
      `${variable}_FILE="${file}": allowed: one of ${variable} and ${variable}_FILE, not both`,
    );
    expect(fromFile(file, { [variable]: '' })).toEqual(['sesame']);
    expect(fromFile('')).toBeUndefined();
  });
});

describe('a secret file', () => {
  const parse = (text: string) => {
    if (text === '') throw new Error('it is empty');
    return text.split(',');
  };

  it('is read again, at most once a second; what is wrong changes nothing and is logged once', () => {
    const warnings = vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const logs = vi.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    let now = 0;
    write('old');
    const secrets = secretFile(file, parse, () => now);
    write('new,old');
    now = 999;
    expect(secrets()).toEqual(['old']);
    now = 1_000;
    expect(secrets()).toEqual(['new', 'old']);
    for (const _ of ['empty', 'still empty']) {
      write('');
      now += 1_000;
      expect(secrets()).toEqual(['new', 'old']);
    }
    rmSync(file);
    now += 1_000;
    expect(secrets()).toEqual(['new', 'old']);
    write('new');
    now += 1_000;
    expect(secrets()).toEqual(['new']);
    expect(warnings.mock.calls).toEqual([[{ event: 'secret_file_refused', path: file, error: 'it is empty' }]]);
    expect(logs.mock.calls.flat()).toEqual([
      { event: 'secret_file_read', path: file, secrets: 2 },
      { event: 'secret_file_read', path: file, secrets: 1 },
    ]);
  });
});
