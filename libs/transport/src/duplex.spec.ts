import { PangalacticError, type HopRequest, type HopResponse } from '@pangalactic/contracts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Duplex } from './call-types';
import { connectNode } from './client';
import { handleDuplex } from './handle-duplex';
import { settled, startSpecServer, type SpecServer } from './grpc-server.fixture';
import { float32FromBytes, float32ToBytes } from './tensor-bytes';

type Handler = (channel: Duplex<HopResponse, HopRequest>, signal: AbortSignal) => Promise<void>;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(handler: Handler, until?: AbortSignal): Promise<SpecServer> {
  const server = await startSpecServer({ hop: (call) => handleDuplex(call, handler, until ? { until } : {}) });
  closers.push(() => server.close());
  return server;
}

function hopTo(
  address: string,
  options?: { deadlineMs?: number; signal?: AbortSignal },
): Duplex<HopRequest, HopResponse> {
  const client = connectNode(address, { clusterToken: undefined });
  closers.push(() => client.close());
  return client.hop(options);
}

const step = (number: number, hidden: Buffer = Buffer.alloc(0)): HopRequest => ({
  number,
  step: { step: number, rows: [], hidden, timings: [] },
});
const fault = (stage: number, reason = ''): HopResponse => ({ fault: { stage, nodeId: 'n', reason } });

/** Sends until sending stands still; resolves with what ended it. */
function sendForEver<Out>(channel: Duplex<Out, unknown>, message: (number: number) => Out) {
  const progress = { sent: 0 };
  const ended = (async () => {
    for (;;) {
      await channel.send(message(progress.sent + 1));
      progress.sent += 1;
    }
  })().catch((error: unknown) => error as PangalacticError);
  return { progress, ended };
}

const LARGE = Buffer.alloc(64 * 1024, 1);
const idle = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

describe('a bidirectional stream', () => {
  it('carries tensors both in order and unharmed, with answers in between', async () => {
    const { address } = await serve(async (channel) => {
      for await (const { number, step: received } of channel) {
        const tensor = float32FromBytes(received!.hidden, 32 * 1024 + number);
        await channel.send(fault(number, String(tensor[number])));
      }
      await channel.send(fault(0, 'end of requests'));
    });
    const hop = hopTo(address);
    for (let number = 1; number <= 50; number += 1) {
      const tensor = Float32Array.from({ length: 32 * 1024 + number }, (_, index) => index / 2);
      await hop.send(step(number, float32ToBytes(tensor)));
    }
    hop.end();
    const reasons: (string | undefined)[] = [];
    for await (const response of hop) reasons.push(response.fault?.reason);
    expect(reasons).toEqual([...Array.from({ length: 50 }, (_, index) => String((index + 1) / 2)), 'end of requests']);
  });

  it('goes on after the handler leaves its loop, and ends when the handler returns', async () => {
    const { address } = await serve(async (channel) => {
      for await (const _first of channel) break;
      await channel.next();
      await channel.send(fault(2));
    });
    const hop = hopTo(address);
    await hop.send(step(1));
    await hop.send(step(2));
    expect((await hop.next()).value).toMatchObject({ fault: { stage: 2 } });
    expect((await hop.next()).done).toBe(true);
    await expect(hop.send(step(3))).rejects.toMatchObject({ code: 'service_unavailable' });
  });

  it.each([0, 2])('carries an error of the handler after %i messages', async (messages) => {
    const { address } = await serve(async (channel) => {
      for (let index = 0; index < messages; index += 1) await channel.send(fault(index));
      await channel.next();
      throw new PangalacticError('kv_gap', 'row 0 starts at 5, slot 1 holds 3');
    });
    const hop = hopTo(address);
    await hop.send(step(1));
    for (let index = 0; index < messages; index += 1) await hop.next();
    const failure = { code: 'kv_gap', message: 'row 0 starts at 5, slot 1 holds 3' };
    await expect(hop.next()).rejects.toMatchObject(failure);
    await expect(hop.send(step(2))).rejects.toMatchObject(failure);
    expect(hop.trySend(step(3))).toBe(false);
  });

  it('holds back a client whose messages are not read', async () => {
    const { address } = await serve(async (_channel, signal) => idle(signal));
    const hop = hopTo(address);
    const { progress, ended } = sendForEver(hop, (number) => step(number, LARGE));
    expect(await settled(() => progress.sent)).toBeLessThan(64);
    expect(hop.trySend(step(0))).toBe(false);
    hop.cancel();
    expect(await ended).toMatchObject({ code: 'cancelled' });
  });

  it('holds back a server whose messages are not read, and lets it go on when they are', async () => {
    let sending: ReturnType<typeof sendForEver<HopResponse>> | undefined;
    const { address } = await serve(async (channel) => {
      sending = sendForEver(channel, (number) => fault(number, 'x'.repeat(64 * 1024)));
      await sending.ended;
    });
    const hop = hopTo(address);
    const ahead = await settled(() => sending?.progress.sent ?? 0);
    expect(ahead).toBeLessThan(64);
    for (let read = 1; read <= 100; read += 1)
      expect((await hop.next()).value).toMatchObject({ fault: { stage: read } });
    hop.cancel();
    expect(await sending?.ended).toMatchObject({ code: 'cancelled' });
  });

  it('bounds what is queued without waiting', async () => {
    const { address } = await serve(async (_channel, signal) => idle(signal));
    const hop = hopTo(address);
    const accepted = Array.from({ length: 1_000 }, (_, index) => hop.trySend(step(index + 1))).filter(Boolean).length;
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThanOrEqual(16);
  });

  it('tells the handler that the client cancelled, in its reads and through its signal', async () => {
    const seen: unknown[] = [];
    const { address } = await serve(async (channel, signal) => {
      signal.addEventListener('abort', () => seen.push(signal.reason));
      await channel.send(fault(1));
      await channel.next().catch((error: unknown) => seen.push(error));
      await channel.send(fault(2)).catch((error: unknown) => seen.push(error));
      throw new Error('thrown after the caller has gone');
    });
    const hop = hopTo(address);
    await hop.next();
    hop.cancel(new PangalacticError('pipeline_broken', 'stage 2 failed'));
    await vi.waitUntil(() => seen.length === 3, { timeout: 10_000 });
    expect(seen.map((error) => (error as PangalacticError).code)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    await expect(hop.next()).rejects.toMatchObject({ code: 'pipeline_broken', message: 'stage 2 failed' });
  });

  it('never looks like an orderly end to the handler when the client cancels, and does when it ends', async () => {
    const ends: string[] = [];
    let waiting = 0;
    const { address } = await serve(async (channel) => {
      await channel.next();
      waiting += 1;
      const end = channel.next().then(
        ({ done }) => (done ? 'ended' : 'message'),
        ({ code }: PangalacticError) => code,
      );
      ends.push(await end);
    });
    const open = async () => {
      const [hop, before] = [hopTo(address), waiting];
      await hop.send(step(1));
      await vi.waitUntil(() => waiting > before, { timeout: 10_000, interval: 1 });
      return hop;
    };
    for (let round = 0; round < 20; round += 1) (await open()).cancel();
    const hop = await open();
    hop.end();
    expect((await hop.next()).done).toBe(true);
    await vi.waitUntil(() => ends.length === 21, { timeout: 10_000 });
    expect(ends.sort()).toEqual([...Array<string>(20).fill('cancelled'), 'ended']);
  });

  it.each(['cut', 'force'] as const)(
    'frees senders that wait for room on both sides when the peer vanishes (%s)',
    async (how) => {
      let sending: ReturnType<typeof sendForEver<HopResponse>> | undefined;
      const server = await serve(async (channel) => {
        sending = sendForEver(channel, (number) => fault(number, 'x'.repeat(64 * 1024)));
        await sending.ended;
      });
      const tunnel = await server.openTunnel();
      const hop = hopTo(tunnel.address);
      const { progress, ended } = sendForEver(hop, (number) => step(number, LARGE));
      await settled(() => progress.sent);
      await settled(() => sending?.progress.sent ?? 0);
      if (how === 'cut') tunnel.cut();
      else server.handle.forceShutdown();
      expect(await ended).toMatchObject({ code: 'service_unavailable' });
      expect(await sending?.ended).toMatchObject({ code: 'cancelled' });
    },
  );

  it('ends at its deadline on both sides', async () => {
    let handlerSaw: unknown;
    const { address } = await serve(async (channel) => {
      await channel.next().catch((error: unknown) => (handlerSaw = error));
    });
    // Long enough for the call to reach a busy server.
    await expect(hopTo(address, { deadlineMs: 1_000 }).next()).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await vi.waitUntil(() => handlerSaw !== undefined, { timeout: 10_000 });
    expect(handlerSaw).toMatchObject({ code: 'cancelled' });
  });

  it('ends with the reason of its `until`, in front of a handler that hangs', async () => {
    const closing = new AbortController();
    let reached = false;
    const { address } = await serve(async (channel) => {
      await channel.send(fault(1));
      reached = true;
      await new Promise(() => undefined);
    }, closing.signal);
    const hop = hopTo(address);
    await hop.next();
    expect(reached).toBe(true);
    closing.abort(new PangalacticError('service_unavailable', 'the hub is shutting down'));
    await expect(hop.next()).rejects.toMatchObject({
      code: 'service_unavailable',
      message: 'the hub is shutting down',
    });
  });
});
