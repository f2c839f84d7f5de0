import { describe, expect, it } from 'vitest';
import { feedStage } from './feed-stage';
import type { StageMessage } from './stage-message';

const step = (number: number): StageMessage => ({
  ...{ kind: 'step', step: number, arrivedAt: 0 },
  ...{ input: { rows: [] }, timings: [] },
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('feedStage', () => {
  it('reads a bounded number of messages ahead and hands them over one at a time, in order', async () => {
    let taken = 0;
    const pushed: number[] = [];
    const room: (() => void)[] = [];
    const next = () => (taken < 500 ? Promise.resolve(step(++taken)) : Promise.reject(new Error('the last one')));
    const push = (message: StageMessage) => {
      pushed.push(message.kind === 'step' ? message.step : -1);
      return new Promise<void>((resolve) => room.push(resolve));
    };
    const fed = feedStage(next, push).catch((error: unknown) => error);
    await settled();
    expect(taken).toBe(64);
    expect(pushed).toEqual([1]);
    for (let given = 0; given < 500; given++) {
      await settled();
      room[given]?.();
    }
    expect(await fed).toMatchObject({ message: 'the last one' });
    expect(pushed).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
  });

  it('hears what comes behind messages that wait', async () => {
    const messages = [step(1), step(2), step(3)];
    const next = () => {
      const message = messages.shift();
      return message ? Promise.resolve(message) : Promise.reject(new Error('a fault'));
    };
    await expect(feedStage(next, () => new Promise(() => undefined))).rejects.toThrow('a fault');
  });

  it('ends with what the stage refuses', async () => {
    const push = () => Promise.reject(new Error('a gap'));
    let taken = 0;
    const next = () => (++taken === 1 ? Promise.resolve(step(1)) : new Promise<never>(() => undefined));
    await expect(feedStage(next, push)).rejects.toThrow('a gap');
  });
});
