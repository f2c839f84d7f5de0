import { Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GrpcServerHandle } from '@pangalactic/transport';
import { describe, expect, it, vi } from 'vitest';
import { DrainCoordinator, type DrainOptions } from './drain-coordinator';

Logger.overrideLogger(false);

function coordinator(options: Partial<DrainOptions> = {}): DrainCoordinator {
  const drain = new DrainCoordinator(
    { delayMs: 0, deadlineMs: 5_000, closeGraceMs: 5_000, leaveGraceMs: 5_000, ...options },
    new GrpcServerHandle(),
    new HttpAdapterHost(),
  );
  drain.markServing();
  return drain;
}

async function shutDown(drain: DrainCoordinator): Promise<void> {
  await drain.beforeApplicationShutdown();
  drain.onApplicationShutdown();
}

describe('DrainCoordinator', () => {
  it('tells, early and late, that the servers listen', async () => {
    const drain = new DrainCoordinator(
      { delayMs: 0, deadlineMs: 5_000, closeGraceMs: 5_000, leaveGraceMs: 5_000 },
      new GrpcServerHandle(),
      new HttpAdapterHost(),
    );
    const heard: string[] = [];
    const early = drain.serving.then(() => heard.push(`early ${drain.state}`));
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual([]);
    drain.markServing();
    await early;
    await drain.serving;
    expect(heard).toEqual(['early SERVING']);
  });

  it('is not ready at once, keeps serving, then tells others, then waits for work, then closes', async () => {
    const drain = coordinator({ delayMs: 60 });
    const story: string[] = [];
    const end = drain.begin();
    drain.onDrain(() => {
      story.push('told');
      setTimeout(() => {
        story.push('work ends');
        end();
      }, 20);
    });
    drain.closing.addEventListener('abort', () => story.push(`closing ${drain.inFlight}`));
    const done = shutDown(drain);
    expect(drain.state).toBe('DRAINING');
    story.push('still serving');
    await done;
    expect(story).toEqual(['still serving', 'told', 'work ends', 'closing 0']);
    expect(drain.state).toBe('DRAINED');
    expect(drain.closing.reason).toMatchObject({ code: 'service_unavailable' });
  });

  it('gives up at its deadline, whatever it waits for', async () => {
    const never = () => new Promise<void>(() => undefined);
    const withWork = coordinator({ deadlineMs: 50 });
    withWork.begin();
    const withCallback = coordinator({ deadlineMs: 50 });
    withCallback.onDrain(never);
    const withDelay = coordinator({ deadlineMs: 50, delayMs: 60_000 });
    for (const drain of [withWork, withCallback, withDelay]) {
      await shutDown(drain);
      expect(drain.closing.aborted).toBe(true);
    }
    expect(withWork.inFlight).toBe(1);
  });

  it('goes on when a callback fails', async () => {
    const drain = coordinator();
    const second = vi.fn();
    drain.onDrain(() => Promise.reject(new Error('the hub is away')));
    drain.onDrain(second);
    await shutDown(drain);
    expect(second).toHaveBeenCalledOnce();
  });

  it('counts work until it ends, however it ends, and once', async () => {
    const drain = coordinator();
    const end = drain.begin();
    const tracked = drain.track(() => Promise.reject(new Error('failed')));
    expect(drain.inFlight).toBe(2);
    await expect(tracked).rejects.toThrow('failed');
    expect(await drain.track(() => Promise.resolve(7))).toBe(7);
    end();
    end();
    expect(drain.inFlight).toBe(0);
  });
});
