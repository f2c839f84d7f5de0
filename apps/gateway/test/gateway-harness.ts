import { createApp, startApp } from '@pangalactic/lifecycle';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { loadGatewayConfig } from '@pangalactic/config';
import { freePort, until } from '@pangalactic/testing';
import { GATEWAY_PROCESS } from '../src/gateway-process';
import { ScriptedCluster } from './scripted-cluster';

export interface RunningGateway {
  readonly app: NestFastifyApplication;
  readonly cluster: ScriptedCluster;
  readonly url: string;
  stop(): Promise<void>;
}

/** A gateway as the process runs it, on a free port, in front of a scripted cluster. */
export async function startGateway(
  environment: Record<string, string> = {},
  prepare: (cluster: ScriptedCluster) => void = (cluster) => cluster.deploy('p1'),
): Promise<RunningGateway> {
  const cluster = await ScriptedCluster.start(environment.PANGALACTIC_CLUSTER_TOKEN);
  prepare(cluster);
  const port = await freePort();
  const config = loadGatewayConfig({
    GATEWAY_BIND_ADDR: `127.0.0.1:${port}`,
    GATEWAY_HUB_ADDR: cluster.address,
    LOG_LEVEL: 'silent',
    ...environment,
  });
  const app = await createApp(GATEWAY_PROCESS, config);
  await startApp(app, GATEWAY_PROCESS, config);
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await app.close();
    await cluster.stop();
  };
  return { app, cluster, url, stop };
}

export function post(url: string, path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
}

export interface StreamedChoice {
  readonly index: number;
  readonly delta?: { role?: string; content?: string };
  readonly text?: string;
  readonly logprobs: { content?: { token: string }[]; tokens?: string[] } | null;
  readonly finish_reason: string | null;
}

export interface StreamedChunk {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly choices: StreamedChoice[];
  readonly usage?: object | null;
  readonly error?: { code: string; message: string; type: string };
}

/** All events of a stream; the last one must be [DONE]. */
export async function readEvents(response: Response): Promise<StreamedChunk[]> {
  const events = (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
  if (events.pop() !== '[DONE]') throw new Error('the stream did not end with [DONE]');
  return events.map((event) => JSON.parse(event) as StreamedChunk);
}

export async function untilReady(url: string): Promise<void> {
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, { timeoutMs: 5_000, message: 'ready' });
}
