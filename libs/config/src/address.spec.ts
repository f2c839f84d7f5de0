import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, isWildcard, parseAddress } from './address';

describe('parseAddress', () => {
  it.each([
    ['0.0.0.0:7100', { host: '0.0.0.0', port: 7100 }],
    ['localhost:1', { host: 'localhost', port: 1 }],
    ['etcd-0.etcd:65535', { host: 'etcd-0.etcd', port: 65_535 }],
    ['pangalactic_hub_1:7100', { host: 'pangalactic_hub_1', port: 7100 }],
    ['[::1]:7100', { host: '::1', port: 7100 }],
    ['[fe80::1%eth0]:7100', { host: 'fe80::1%eth0', port: 7100 }],
  ])('accepts %s', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
  });

  it.each([
    '',
    'localhost',
    ':7100',
    'localhost:',
    'localhost:0',
    'localhost:65536',
    'localhost:7100x',
    'localhost:-1',
    'localhost:7.1',
    ' localhost:7100',
    'localhost:7100\n',
    '::1:7100',
    'fd00::1:7200',
    '[::1]',
    '[localhost]:7100',
    '[10.0.0.1]:7100',
    '10.0.0.256:7100',
    '10.0.0:7100',
    'a..b:1',
    '-a:1',
    'http://localhost:7100',
    'user@host:1',
    `${'a'.repeat(64)}:1`,
    `${'a.'.repeat(127)}a:1`,
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('is the inverse of formatAddress', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
        expect(parseAddress(formatAddress({ host, port }))).toEqual({ host, port });
      }),
    );
  });
});

describe('isWildcard', () => {
  it.each(['0.0.0.0:1', '[::]:1', '[0:0:0:0:0:0:0:0]:1'])('%s', (text) => {
    expect(isWildcard(parseAddress(text)!)).toBe(true);
  });

  it.each(['10.0.0.0:1', '[::1]:1', 'localhost:1', '127.0.0.1:1'])('not %s', (text) => {
    expect(isWildcard(parseAddress(text)!)).toBe(false);
  });
});
