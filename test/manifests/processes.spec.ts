import { execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { V1Container } from '@kubernetes/client-node';
import { childEnvironment } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { until, type AppName } from '@pangalactic/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readDockerfile } from './dockerfile';
import { containerEnvironment, expand, find, kustomize, readManifests, type PodFacts } from './manifests';
import { hasKubectl } from './programs';
import { commandsOfPage } from './shell-commands';
import { StandIn } from './stand-in';

const run = promisify(execFile);
const images = readDockerfile();
const API_KEY = 'pangalactic';
let machine: StandIn;

beforeEach(() => {
  machine = new StandIn();
});

function imageEnvironment(image: string): Readonly<Record<string, string>> {
  return images.get(/^pangalactic\/(.+):/.exec(image)![1]!)!.env;
}

/** Starts the process of a pod under the name of its service. */
function startPod(app: AppName, container: V1Container, pod: Partial<PodFacts> & { readonly ip: string }) {
  const secrets = { 'pangalactic-gateway-secret/api-key': API_KEY };
  const environment = containerEnvironment(container, { name: pod.ip, nodeName: 'machine-1', secrets, ...pod });
  delete environment.POD_IP;
  // No load balancer has to notice.
  if (app === 'gateway') environment.GATEWAY_DRAIN_DELAY_S = '0';
  return machine.start(app, pod.ip, { ...imageEnvironment(container.image!), ...environment });
}

/** As the kubelet asks. */
async function untilProbesAreGood(host: string, { ports = [], ...probes }: V1Container): Promise<void> {
  for (const probe of [probes.startupProbe, probes.livenessProbe, probes.readinessProbe]) {
    const { path, port } = probe!.httpGet!;
    await machine.untilReady(host, ports.find(({ name }) => name === port)!.containerPort, path!);
  }
}

describe('the processes of the manifests', () => {
  afterEach(() => machine.stop());

  it.skipIf(!hasKubectl())(
    'of the overlay dev are ready before a model is there, and answer the curl commands',
    async () => {
      const manifests = kustomize('k8s/overlays/dev');
      const hub = find(manifests, 'Deployment', 'pangalactic-hub').spec!.template.spec!.containers[0]!;
      const node = find(manifests, 'DaemonSet', 'pangalactic-node').spec!.template.spec!.containers[0]!;
      const gateway = find(manifests, 'Deployment', 'pangalactic-gateway').spec!.template.spec!.containers[0]!;

      await startPod('hub', hub, { ip: 'pangalactic-hub' });
      await untilProbesAreGood('pangalactic-hub', hub);
      await startPod('gateway', gateway, { ip: 'pangalactic-gateway' });
      await untilProbesAreGood('pangalactic-gateway', gateway);
      await startPod('node', node, { ip: 'node-pod' });
      await untilProbesAreGood('node-pod', node);

      const answer = await curl('/v1/chat/completions');
      expect(JSON.parse(answer)).toMatchObject({ choices: [{ message: { role: 'assistant' } }] });
      expect(await curl('/readyz')).toBe('{"ready": true}');
      expect(await machine.status('pangalactic-gateway', 8080, '/v1/models')).toBe(401);
      for (const exit of await machine.stop()) expect(exit).toEqual({ code: 0, signal: null });
    },
  );

  it('of docker-compose.yml split the model over three nodes', async () => {
    const { services } = parse(readFileSync(join(repositoryRoot(), 'docker-compose.yml'), 'utf8'), { merge: true }) as {
      services: Record<string, { image: string; environment: Record<string, string> }>;
    };
    for (const [name, app] of Object.entries({ hub: 'hub', 'node-1': 'node', 'node-2': 'node', 'node-3': 'node' })) {
      await start(name, app as AppName);
    }
    await start('gateway', 'gateway');
    for (const node of ['node-1', 'node-2', 'node-3']) await machine.untilReady(node, 7201, '/readyz');
    await machine.untilReady('gateway', 8080, '/readyz');
    const { stdout } = await cli('cluster', 'topology', '--json', '--hub-addr', await machine.local('hub', 7100));
    const { nodes } = JSON.parse(stdout) as { nodes: { node: string }[] };
    expect(nodes.map(({ node }) => node)).toEqual(['node-1', 'node-2', 'node-3']);

    const response = await fetch(await machine.url('gateway', 8080, '/v1/completions'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'pangalactic-nano', prompt: 'Once', max_tokens: 4 }),
    });
    expect(await response.json()).toMatchObject({ usage: { completion_tokens: 4 } });
    const { pipelines } = JSON.parse(
      (await cli('cluster', 'topology', '--json', '--hub-addr', await machine.local('hub', 7100))).stdout,
    ) as { pipelines: { stages: unknown[] }[] };
    expect(pipelines.map(({ stages }) => stages.length)).toEqual([3]);

    async function start(name: string, app: AppName) {
      const { image, environment } = services[name]!;
      const own = Object.entries(environment).filter(([, value]) => !value.startsWith('${'));
      await machine.start(app, name, { ...imageEnvironment(image), ...Object.fromEntries(own) });
    }
  });
});

describe('the etcd of the manifest', () => {
  const members: ReturnType<typeof spawn>[] = [];
  afterEach(async () => {
    await machine.stop();
    for (const member of members.splice(0)) member.kill('SIGKILL');
  });

  it('is healthy, to etcdctl and to its probes, and takes the hub of the guide', async () => {
    const { replicas, template } = find(readManifests('k8s/etcd/statefulset.yaml'), 'StatefulSet', 'etcd').spec!;
    const container = template.spec!.containers[0]!;
    const names = Array.from({ length: replicas! }, (_, index) => `etcd-${index}`);
    for (const name of names) await startMember(container, name);
    for (const name of names) {
      for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
        await machine.untilReady(`${name}.etcd`, 2381, probe!.httpGet!.path!);
      }
    }
    const endpoint = `--endpoints=${await machine.local('etcd-0.etcd', 2379)}`;
    const environment = containerEnvironment(container, { name: 'etcd-0', ip: 'etcd-0', nodeName: 'machine-1' });
    const { stdout, stderr } = await run('etcdctl', [endpoint, 'endpoint', 'health'], {
      env: childEnvironment(environment),
    });
    expect(stdout + stderr).toContain('is healthy');

    const hub = find(readManifests('k8s/hub/deployment.yaml'), 'Deployment', 'pangalactic-hub').spec!.template.spec!;
    const set = guideCommand('kubectl set env').flatMap((word) =>
      /^HUB_\w+=/.test(word) ? [word.split(/=(.*)/)] : [],
    );
    const env = [...hub.containers[0]!.env!, ...set.map(([name, value]) => ({ name: name!, value: value! }))];
    await startPod('hub', { ...hub.containers[0]!, env }, { ip: 'pangalactic-hub' });
    await untilProbesAreGood('pangalactic-hub', hub.containers[0]!);
    const keys = await run('etcdctl', [endpoint, 'get', '/pangalactic/', '--prefix', '--keys-only'], {
      env: childEnvironment(environment),
    });
    expect(keys.stdout).toContain('/pangalactic/');

    const alarm = { action: 'ACTIVATE', memberID: '0', alarm: 'NOSPACE' };
    const url = await machine.url('etcd-0.etcd', 2379, '/v3/maintenance/alarm');
    expect((await fetch(url, { method: 'POST', body: JSON.stringify(alarm) })).ok).toBe(true);
    const { livenessProbe, readinessProbe } = container;
    const probe = (path: string | undefined) => machine.status('etcd-0.etcd', 2381, path!);
    await until(async () => (await probe(readinessProbe!.httpGet!.path)) === 503, {
      timeoutMs: 10_000,
      message: 'a full member is not ready',
    });
    expect(await probe(livenessProbe!.httpGet!.path), 'a full member goes on').toBe(200);
  });

  /** With the command of the manifest, in which the pod's host name stands for the addresses that it listens at. */
  async function startMember({ command = [] }: V1Container, name: string): Promise<void> {
    const host = `${name}.etcd`;
    const [program, ...flags] = command.map((word) => expand(word, { POD_NAME: name }).replaceAll('0.0.0.0', host));
    const translated = await Promise.all(flags.map((flag) => translateFlag(host, flag)));
    const folder = machine.path(host, '/var/lib/etcd');
    mkdirSync(folder, { recursive: true });
    members.push(spawn('setpriv', ['--pdeathsig', 'KILL', program!, ...translated], { stdio: 'ignore' }));
  }

  async function translateFlag(host: string, flag: string): Promise<string> {
    const [name, value] = flag.split(/=(.*)/s);
    return `${name}=${await machine.translate(host, value!)}`;
  }
});

/** The curl command of docs/deployment.md for this path, run by a shell. */
async function curl(path: string): Promise<string> {
  const page = readFileSync(join(repositoryRoot(), 'docs/deployment.md'), 'utf8');
  const command = commandsOfPage(page).find(({ text }) => text.startsWith(`curl http://<GATEWAY_IP>${path}`))!;
  const script = command.text
    .replace('<GATEWAY_IP>', await machine.local('pangalactic-gateway', 8080))
    .replace('tinyllama-1.1b', 'pangalactic-nano');
  const { stdout } = await run('bash', ['-c', script], { env: childEnvironment({ API_KEY }) });
  return stdout;
}

function guideCommand(start: string): readonly string[] {
  const page = readFileSync(join(repositoryRoot(), 'docs/deployment.md'), 'utf8');
  return commandsOfPage(page).find(({ text }) => text.startsWith(start))!.words;
}

function cli(...args: string[]) {
  return run(process.execPath, [join(repositoryRoot(), 'bin/pangalactic.js'), ...args]);
}
