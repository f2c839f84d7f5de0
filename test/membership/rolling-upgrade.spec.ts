import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppProcess, freePort, readyPipeline, startCluster, until, type TestCluster } from '@pangalactic/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exchange } from '../chaos/exchange';
import { ReadyServers } from '../cluster/ready-servers';
import { StreamingLoad, type Ask } from '../cluster/streaming-load';
import { TcpBalancer } from '../cluster/tcp-balancer';

/** 16-bit weights are computed in fp32: an answer is the same on every placement. */
const MODEL = 'pangalactic-nano-f16';
const GATEWAYS = 2;
const PROBE_PERIOD_MS = 500;
/** Several periods. */
const DRAIN_DELAY_S = 2;
const REST_MS = 20;
const waits = { timeoutMs: 30_000, intervalMs: 50 };

interface Gateway {
  readonly port: number;
  readonly process: AppProcess;
}

let cluster: TestCluster;
let balancer: TcpBalancer;
let ready: ReadyServers;
const gateways: Gateway[] = [];

beforeAll(async () => {
  cluster = await startCluster({
    nodes: 3,
    stages: 2,
    model: MODEL,
    env: { gateway: { GATEWAY_DRAIN_DELAY_S: String(DRAIN_DELAY_S) } },
  });
  balancer = await TcpBalancer.start([]);
  ready = new ReadyServers(balancer, PROBE_PERIOD_MS);
  for (let count = 0; count < GATEWAYS; count += 1) await startGateway();
});

afterAll(async () => {
  await ready?.stop();
  await Promise.all(gateways.map(({ process }) => process.stop(15_000)));
  balancer?.close();
  await cluster?.stop();
});

/** Until the balancer sends it connections. */
async function startGateway(): Promise<Gateway> {
  const { gateway: spec } = cluster.layout;
  const port = await freePort();
  const name = `gateway-${gateways.length + 1}`;
  const process = AppProcess.start({
    ...spec,
    name,
    logPath: join(dirname(spec.logPath), `${name}.log`),
    env: { ...spec.env, GATEWAY_BIND_ADDR: `127.0.0.1:${port}` },
  });
  const gateway = { port, process };
  gateways.push(gateway);
  ready.add(port);
  await until(() => ready.has(port), { ...waits, message: `${name} gets connections` });
  return gateway;
}

/** Every other answer is a stream, which must end with exactly one finish reason and [DONE]. */
const ask: Ask = async (question, turn) => {
  const url = `http://${balancer.address}/v1/chat/completions`;
  const asked = () => exchange(url, MODEL, question, turn % 2 === 0);
  const { status, text, terminalEvents } = await asked().catch((error: unknown) => {
    if (!metClosingConnection(error)) throw error;
    closingConnections += 1;
    return asked();
  });
  return { status, text, terminalEvents };
};

let closingConnections = 0;

/**
 * A client that keeps a connection which it hardly uses gets no answer on it that says that the gateway leaves. It may send
 * a request at the very moment in which the gateway closes it: HTTP/1.1 knows no better, and OpenAI's clients ask again.
 */
function metClosingConnection(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: string; socket?: { bytesRead: number } } };
  return cause?.code === 'UND_ERR_SOCKET' && cause.socket!.bytesRead > 0;
}

/**
 * Asks for the state of the model again and again, over a connection that rests a moment between two requests: that is when it must not be closed.
 * @returns how often it was answered
 */
async function askForState(signal: AbortSignal): Promise<number> {
  let answered = 0;
  while (!signal.aborted) {
    const response = await fetch(`http://${balancer.address}/v1/models/${MODEL}`, {
      signal: AbortSignal.timeout(30_000),
    });
    expect([response.status, await response.json()]).toMatchObject([200, { id: MODEL, state: 'READY' }]);
    answered += 1;
    await sleep(REST_MS);
  }
  return answered;
}

/** One after the other: a new one is there before the old one goes. */
async function replaceGateways(): Promise<void> {
  for (const old of gateways.filter(({ process }) => !process.ended)) {
    await startGateway();
    old.process.kill('SIGTERM');
    expect(await old.process.exited).toEqual({ code: 0, signal: null });
    expect(old.process.logs()).toContain('"event":"drained","inFlight":0');
  }
}

it('replacing gateways that have hardly anything to do fails no request', async () => {
  const stopping = new AbortController();
  const clients = Array.from({ length: GATEWAYS }, () => askForState(stopping.signal));
  const replaced = replaceGateways().finally(() => stopping.abort());
  const [answered] = await Promise.all([Promise.all(clients), replaced]);
  expect(balancer.refusals).toBe(0);
  // Otherwise nothing was learnt of connections that outlive a request.
  expect(balancer.connections).toBeLessThan(Math.min(...answered) / 10);
});

it('replacing all gateways under load, then all nodes, one after the other, fails no request', async () => {
  const load = await StreamingLoad.of(ask);
  const answersFollow = async (message: string) => {
    const before = load.answered;
    await until(() => load.answered > before + 4, { ...waits, message });
  };
  await replaceGateways();
  await answersFollow('answers of new gateways');
  for (const name of cluster.nodeNames) {
    expect(await cluster.kill(name, 'SIGTERM')).toEqual({ code: 0, signal: null });
    cluster.start(name);
    // What an orchestrator waits for before it goes on to the next one.
    await until(() => cluster.isReady(name), { ...waits, message: `${name} is ready` });
  }
  const serves = async () => readyPipeline(await cluster.view()) !== undefined;
  await until(serves, { ...waits, message: 'a pipeline on new nodes' });
  await answersFollow('answers of new nodes');
  const { failures, answered, slowestMs } = await load.stop();
  console.log(`rolling upgrade: ${answered} answers, the slowest took ${(slowestMs / 1000).toFixed(1)} s`);
  expect(failures).toEqual([]);
  expect(closingConnections).toBeLessThan(answered / 20);
  expect(balancer.refusals).toBe(0);
  const slotsInUse = () =>
    Promise.all(cluster.nodeNames.map((name) => cluster.metric(name, 'pangalactic_node_slots_in_use')));
  const areFree = async () => (await slotsInUse()).every((slots) => slots === 0);
  await until(areFree, { ...waits, message: 'no slot is in use' });
});
