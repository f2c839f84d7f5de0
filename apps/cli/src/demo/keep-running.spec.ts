import { describe, expect, it } from 'vitest';
import { restartDelayMs } from './keep-running';

describe('restartDelayMs', () => {
  it.each([
    [1, 500],
    [2, 1000],
    [3, 2000],
    [6, 16_000],
    [7, 30_000],
    [2000, 30_000],
  ])('waits after failure %d in a row for %d ms', (failures, delay) => expect(restartDelayMs(failures)).toBe(delay));
});
