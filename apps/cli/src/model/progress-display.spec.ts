import { describe, expect, it } from 'vitest';
import { createProgressDisplay, durationText } from './progress-display';

function display(isTTY: boolean) {
  let now = 0;
  const written: string[] = [];
  const stream = { isTTY, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  const shown = createProgressDisplay(stream, () => now);
  return {
    written,
    end: () => shown.end(),
    show: (seconds: number, bytes: number, phase: 'receiving' | 'verifying' = 'receiving') => {
      now = seconds * 1000;
      shown.show({ phase, bytes, totalBytes: 1e9 });
    },
    wait: () => shown.show({ phase: 'waiting', holder: 'process 7 on box' }),
  };
}

describe('createProgressDisplay without a terminal', () => {
  it('writes a line per ten seconds, with rate and time left', () => {
    const { written, show, wait, end } = display(false);
    wait();
    show(0, 100e6);
    for (let second = 1; second <= 20; second++) show(second, 100e6 + second * 20e6);
    show(21, 0, 'verifying');
    show(22, 1e9, 'verifying');
    end();
    expect(written.join('')).toBe(
      'waiting for process 7 on box, which downloads the same file\n' +
        'downloading: 1.00 GB, of which 100 MB are there already\n' +
        'downloading: 30% of 1.00 GB, 20.0 MB/s, 35 s left\n' +
        'downloading: 50% of 1.00 GB, 20.0 MB/s, 25 s left\n' +
        'verifying sha256: 1.00 GB\n',
    );
  });
});

it.each([
  [0.2, '1 s'],
  [59, '59 s'],
  [61, '1 min 1 s'],
  [7_260, '2 h 1 min'],
])('durationText(%d) is %s', (seconds, text) => expect(durationText(seconds)).toBe(text));
