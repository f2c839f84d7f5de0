import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backupLines, parseBackup } from './backup-lines';

const clusterId = '3f0a4f1c-5cf5-4c11-9f8e-0b8f5cf1a2b3';
const lines = [...backupLines({ clusterId, term: 3, entries: [{ key: 'a', value: '1' }] })];

describe('an export', () => {
  it('is read as it was written, whatever the values', () => {
    const entries = fc.array(fc.record({ key: fc.string(), value: fc.string({ unit: 'binary' }) }));
    fc.assert(
      fc.property(entries, fc.nat(), (written, term) => {
        const backup = { clusterId, term, entries: written };
        const text = [...backupLines(backup)].map((line) => `${line}\n`).join('');
        expect(parseBackup(text)).toEqual(backup);
        expect(parseBackup(text.trimEnd())).toEqual(backup);
      }),
    );
  });

  it.each<[string, readonly string[], RegExp]>([
    ['nothing', [], /^line 1 is not the beginning of a pangalactic-state export/],
    ['something else', ['hello'], /^line 1 is not the beginning/],
    ['a newer version', [lines[0]!.replace('"version":1', '"version":2'), ...lines.slice(1)], /^line 1 .*version/],
    ['without an end', lines.slice(0, -1), /^line 2 is not the end of an export \(was it cut off\?\)/],
    ['cut off in a line', [...lines.slice(0, -1), '{"entr'], /^line 3 is not the end/],
    ['with a line missing', [lines[0]!, lines[2]!], /^0 entries, but the last line says 1$/],
    ['with a damaged entry', [lines[0]!, '{"key":"a"}', lines[2]!], /^line 2 is not an entry: value: /],
  ])('that is %s is refused', (_, damaged, message) => {
    expect(() => parseBackup(damaged.join('\n'))).toThrow(message);
  });
});
