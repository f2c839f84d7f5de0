import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { connectHub } from '@pangalactic/transport';
import { freePort } from '@pangalactic/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { createApp, startApp } from './app';
import { DrainCoordinator } from './drain-coordinator';
import type { ReadinessCheck } from './readiness';
import { specSettings, type SpecConfig } from './app.fixture';

const DRAIN = { delayMs: 0, deadlineMs: 1_000, closeGraceMs: 200, leaveGraceMs: 5_000 };
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function prepare(checks: readonly ReadinessCheck[] = []) {
  const host = '127.0.0.1';
  const config: SpecConfig = {
    http: { host, port: await freePort() },
    grpc: { host, port: await freePort() },
    drain: DRAIN,
    logLevel: 'silent',
  };
  const settings = specSettings(config, checks);
  const app: NestFastifyApplication = await createApp(settings, config);
  closers.push(() => app.close());
  const hub = connectHub(`${host}:${config.grpc.port}`, { clusterToken: undefined });
  closers.push(() => hub.close());
  return { app, hub, start: () => startApp(app, settings, config), url: `http://${host}:${config.http.port}` };
}

async function get(url: string) {
  const response = await fetch(url);
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}

describe('an application', () => {
  it('says that it runs and that it is ready, in exactly these words', async () => {
    const { start, url } = await prepare();
    await start();
    expect(await get(`${url}/readyz`)).toEqual({
      status: 200,
      type: 'application/json; charset=utf-8',
      body: '{"ready": true}',
    });
    expect((await get(`${url}/healthz`)).status).toBe(200);
  });

  it('says why it is not ready, and also when a check itself fails', async () => {
    let reason: string | null = 'no pipeline serves pangalactic-nano';
    const { start, url } = await prepare([
      { name: 'routes', check: () => reason },
      { name: 'repository', check: () => (reason ? Promise.reject(new Error('database is locked')) : null) },
    ]);
    await start();
    expect(await get(`${url}/readyz`)).toEqual({
      status: 503,
      type: 'application/json; charset=utf-8',
      body: '{"ready": false, "reasons": ["no pipeline serves pangalactic-nano","repository: database is locked"]}',
    });
    expect((await get(`${url}/healthz`)).status).toBe(200);
    reason = null;
    expect((await get(`${url}/readyz`)).body).toBe('{"ready": true}');
  });

  it('is not ready while it drains', async () => {
    const { app, start, url } = await prepare();
    await start();
    const end = app.get(DrainCoordinator).begin();
    const closed = app.close();
    await expect.poll(async () => (await get(`${url}/readyz`)).body).toBe('{"ready": false, "reasons": ["draining"]}');
    end();
    await closed;
  });

  it('opens gRPC only when its init hooks have run, with the errors of the catalogue', async () => {
    const { hub, start } = await prepare();
    const started = start();
    const codes = new Set<string>();
    const ask = () =>
      hub.getCluster({}, { deadlineMs: 2_000 }).catch(({ code, message }: { code: string; message: string }) => {
        expect(message).not.toContain('before onModuleInit');
        codes.add(code);
      });
    while (!codes.has('state_conflict')) await ask();
    await started;
    expect([...codes].filter((code) => code !== 'state_conflict' && code !== 'service_unavailable')).toEqual([]);
  });

  it('leaves errors over HTTP to Nest', async () => {
    const { start, url } = await prepare();
    await start();
    expect(await get(`${url}/nothing`)).toMatchObject({ status: 404 });
  });
});
