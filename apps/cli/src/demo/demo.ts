import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot, type GetClusterResponse } from '@pangalactic/contracts';
import { clusterLayout, describeExit, LocalCluster, ProcessFailure, readyPipeline } from '@pangalactic/testing';
import { clusterReport } from '../cluster/cluster-report';
import { topologyTable } from '../cluster/cluster-tables';
import { CommandError } from '../command-error';
import { describeBusyPorts } from './busy-ports';
import { chat, type ChatAnswer } from './chat';
import type { DemoOptions } from './demo-options';
import { keepRunning } from './keep-running';

/** The first start compiles the shards. */
const START_TIMEOUT_MS = 180_000;
const STOP_GRACE_MS = 10_000;

export interface DemoOutput {
  /** What the demo says: stdout, or stderr when stdout is kept for JSON. */
  readonly say: (text: string) => void;
  /** The answer, piece by piece. */
  readonly write: (text: string) => void;
  /** Progress and trouble: stderr. */
  readonly log: (message: string) => void;
  readonly result: (json: string) => void;
}

/** Runs the demo until the signal aborts, or until the first answer with `exit`. Leaves no process behind. */
export async function runDemo(options: DemoOptions, output: DemoOutput, signal: AbortSignal): Promise<void> {
  const busy = await describeBusyPorts(options.ports);
  if (busy) throw new CommandError(busy);

  const folder = await mkdtemp(join(tmpdir(), 'pangalactic-demo-'));
  const cluster = new LocalCluster(
    clusterLayout({
      ...options,
      folder,
      stages: options.nodes,
      cacheDirectory: join(repositoryRoot(), 'data', 'demo-cache'),
      // Ctrl-C should not wait for somebody else's long answer.
      env: { node: { NODE_DRAIN_TIMEOUT_S: '5' } },
    }),
  );
  output.log(`logs: ${folder}`);
  try {
    await demonstrate(cluster, options, output, signal);
  } catch (error) {
    // Whatever failed because of Ctrl-C is no failure.
    if (!signal.aborted) throw withLogs(error, folder);
  } finally {
    if (!options.exit) output.log('stopping');
    await cluster.stopAll(STOP_GRACE_MS);
  }
  await rm(folder, { recursive: true, force: true });
}

async function demonstrate(cluster: LocalCluster, options: DemoOptions, output: DemoOutput, signal: AbortSignal) {
  const { log } = output;
  const done = new AbortController();
  const running = AbortSignal.any([signal, done.signal]);
  let fail: (error: unknown) => void = () => undefined;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  let served = false;
  const superviseNode = (name: string) => {
    keepRunning(cluster, name, { signal: running, log, hasServed: () => served }).catch(fail);
  };
  const serve = async () => {
    await cluster.startAll({ timeoutMs: START_TIMEOUT_MS, signal: running, onProgress: log, superviseNode });
    served = true;
    for (const name of ['hub', 'gateway']) untilGone(cluster, name).catch(fail);
    await answerAndStay(cluster, options, output, signal);
  };
  try {
    await Promise.race([failure, serve()]);
  } finally {
    done.abort();
  }
}

async function answerAndStay(cluster: LocalCluster, options: DemoOptions, output: DemoOutput, signal: AbortSignal) {
  const gatewayUrl = cluster.url('gateway');
  const view = await cluster.view();
  output.say(topologyTable(clusterReport(view)));
  output.say(`> ${options.prompt}`);
  const answer = await chat({ ...options, gatewayUrl, signal, onText: output.write });
  output.write('\n');
  if (options.json) output.result(JSON.stringify(demoResult(options, view, answer)));
  if (options.exit) return;
  output.say(howToTalk(gatewayUrl, options.model, cluster.layout.hubAddress));
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/** Nodes are started again; without the hub or the gateway there is nothing to show any more. */
async function untilGone(cluster: LocalCluster, name: string): Promise<never> {
  const process = cluster.process(name);
  throw new ProcessFailure(`the ${name} ${describeExit(await process.exited)}`, process.logPath);
}

function withLogs(error: unknown, folder: string): CommandError {
  const message = error instanceof Error ? error.message : String(error);
  return new CommandError(`${message} (logs: ${error instanceof ProcessFailure ? error.logPath : folder})`);
}

function demoResult({ model, nodes }: DemoOptions, view: GetClusterResponse, answer: ChatAnswer): object {
  const stages = readyPipeline(view)?.pipeline?.stages ?? [];
  return {
    model,
    nodes,
    stages: stages.map(({ nodeId, layers }) => ({ node: nodeId, layers: [layers?.from, layers?.to] })),
    text: answer.text,
    completion_tokens: answer.completionTokens,
    ttft_ms: Number(answer.timeToFirstTokenMs.toFixed(1)),
    tokens_per_second: Number(answer.tokensPerSecond.toFixed(1)),
  };
}

function howToTalk(gatewayUrl: string, model: string, hubAddress: string): string {
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Hello' }] });
  return `
Talk to it from another terminal:

  curl -N ${gatewayUrl}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '${body}'

  npx pangalactic cluster topology --hub-addr ${hubAddress}

Ctrl-C stops every process.`;
}
