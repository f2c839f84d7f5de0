import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadGatewayConfig, loadHubConfig, VARIABLE_TABLE } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../apps/cli/src/program';
import { readDockerfile } from './dockerfile';
import { PageCluster } from './kubectl';
import { containerEnvironment, find } from './manifests';
import { hasKubectl } from './programs';
import { commandsOf, commandsOfPage, parseOptions, type ShellCommand } from './shell-commands';

const read = (path: string) => readFileSync(join(repositoryRoot(), path), 'utf8');

const page = read('docs/deployment.md');
const commands = commandsOfPage(page);
const images = readDockerfile();
const withKubectl = it.skipIf(!hasKubectl());
const of = (program: string) => commands.filter(({ words }) => words[0] === program);

/** In the order of the page, except that everything is applied before the rest is looked at: the ROCm patch stands before step 6. */
function readPage(): PageCluster {
  const cluster = new PageCluster();
  const isFirst = ({ words: [, verb, what] }: ShellCommand) =>
    verb === 'apply' || (verb === 'create' && what === 'namespace');
  const kubectl = of('kubectl');
  for (const { words } of [...kubectl.filter(isFirst), ...kubectl.filter((command) => !isFirst(command))]) {
    cluster.check(words.slice(1));
  }
  return cluster;
}

describe('docs/deployment.md', () => {
  it('has every command of the guide, word for word', () => {
    const found = commands.map(({ text }) => text);
    for (const { text } of commandsOf(read('test/manifests/guide-commands.txt'))) expect(found).toContain(text);
  });

  it('has commands of programs that are checked here, and no others', () => {
    const programs = new Set(commands.map(({ words: [program] }) => program));
    expect(programs).toEqual(new Set(['kubectl', 'pangalactic', 'helm', 'curl', 'docker', 'export', 'etcdctl']));
  });

  withKubectl('names objects, labels, keys, ports and files that are there', () => {
    const cluster = readPage();
    expect(cluster.namespaces).toEqual(new Set(['pangalactic']));
    expect(cluster.secrets).toEqual(new Set(['pangalactic-gateway-secret/api-key', 'pangalactic-cluster-token/token']));
  });

  withKubectl('changes containers in ways that their processes and images know', () => {
    const cluster = readPage();
    const environment = cluster.changes.flatMap(({ container }) => container.env ?? []);
    expect(environment.map(({ name }) => name)).toEqual(['HUB_STATE_BACKEND', 'HUB_ETCD_ENDPOINTS']);
    for (const { container } of cluster.changes) {
      if (container.image) expect([...images.keys()]).toContain(/^pangalactic\/(.+):/.exec(container.image)?.[1]);
    }
    expect(cluster.changes.filter(({ container }) => container.image).map(({ workload }) => workload)).toEqual([
      'daemonset/pangalactic-node',
      'daemonset/pangalactic-node',
      'deployment/pangalactic-gateway',
      'daemonset/pangalactic-node',
      'deployment/pangalactic-hub',
    ]);
  });

  withKubectl('switches the hub of the manifest to the etcd of the manifest', () => {
    const { applied, changes } = readPage();
    const hub = find(applied, 'Deployment', 'pangalactic-hub').spec!;
    // The old process lets go of the SQLite file before the new one starts.
    expect(hub.strategy?.type).toBe('Recreate');
    const set = changes.flatMap(({ container }) => container.env ?? []).map(({ name, value }) => [name, value]);
    const before = containerEnvironment(hub.template.spec!.containers[0]!, {
      name: 'hub',
      ip: '10.0.0.1',
      nodeName: 'n',
    });
    expect(loadHubConfig(before).stateBackend).toBe('sqlite');
    const after = loadHubConfig({ ...before, ...(Object.fromEntries(set) as Record<string, string>) });
    expect(after.stateBackend).toBe('etcd');

    const etcd = find(applied, 'StatefulSet', 'etcd').spec!;
    const service = find(applied, 'Service', etcd.serviceName!);
    expect(service.spec?.clusterIP).toBe('None');
    const port = service.spec?.ports?.find(({ name }) => name === 'client')?.port;
    const members = Array.from({ length: etcd.replicas! }, (_, index) => `http://etcd-${index}.etcd:${port}`);
    expect(after.etcdEndpoints).toEqual(members);
  });

  it('makes a node of the ROCm image compute on ROCm, the image alone being changed', () => {
    const [patch] = of('kubectl').filter(({ words }) => words[1] === 'patch');
    const [json] = parseOptions(patch!.words).options.get('-p')!;
    expect(JSON.parse(json!)).toEqual({
      spec: { template: { spec: { containers: [{ name: 'node', image: 'pangalactic/node-rocm:latest' }] } } },
    });
    const computeType = (target: string) => images.get(target)?.env.NODE_GPU_COMPUTE_TYPE;
    expect([computeType('node'), computeType('node-rocm'), computeType('node-cpu')]).toEqual(['cuda', 'rocm', 'cpu']);
    const daemonSet = read('k8s/node/daemonset.yaml');
    expect(daemonSet).not.toMatch(/NODE_GPU_COMPUTE_TYPE|nvidia|amd\.com/i);
  });

  it('makes keys and tokens that the processes take', () => {
    const scripts = [...page.matchAll(/"\$\(([^)]+)\)"/g)].map(([, script]) => script!);
    expect(scripts).not.toEqual([]);
    for (const script of scripts) {
      const value = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim();
      const { apiKey, clusterToken } = loadGatewayConfig({ GATEWAY_API_KEY: value, PANGALACTIC_CLUSTER_TOKEN: value });
      expect([apiKey?.(), clusterToken?.()]).toEqual([[value], [value]]);
    }
  });

  it('says of the gateway what its manifest says', () => {
    const manifests = readManifestsOf('gateway/deployment.yaml');
    const { spec } = find(manifests, 'Service', 'pangalactic-gateway');
    expect(spec).toMatchObject({ type: 'LoadBalancer', ports: [{ port: 80, targetPort: 'http' }] });
    expect(find(manifests, 'Deployment', 'pangalactic-gateway').spec).toMatchObject({
      replicas: 2,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } },
    });
    expect(manifests.find(({ kind }) => kind === 'HorizontalPodAutoscaler')).toMatchObject({
      spec: {
        minReplicas: 2,
        maxReplicas: 10,
        metrics: [{ resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }],
      },
    });
  });

  it('says of nodes and etcd what their manifests say', () => {
    const { template, updateStrategy } = find(
      readManifestsOf('node/daemonset.yaml'),
      'DaemonSet',
      'pangalactic-node',
    ).spec!;
    expect(updateStrategy?.rollingUpdate).toEqual({ maxUnavailable: 1, maxSurge: 0 });
    expect(template.spec).toMatchObject({
      terminationGracePeriodSeconds: 120,
      nodeSelector: { 'pangalactic.io/gpu': 'true' },
      containers: [{ name: 'node' }],
    });
    expect(template.spec?.volumes).toContainEqual(
      expect.objectContaining({ hostPath: { path: '/data/models', type: 'DirectoryOrCreate' } }),
    );

    const etcd = readManifestsOf('etcd/statefulset.yaml');
    const { replicas } = find(etcd, 'StatefulSet', 'etcd').spec!;
    const { maxUnavailable } = (
      etcd.find(({ kind }) => kind === 'PodDisruptionBudget') as unknown as { spec: { maxUnavailable: number } }
    ).spec;
    const quorum = Math.floor(replicas! / 2) + 1;
    expect(replicas).toBe(3);
    expect(replicas! - maxUnavailable).toBeGreaterThanOrEqual(quorum);
  });

  it('asks the command line for what it has', () => {
    const inPods = of('kubectl').flatMap(({ words }) => {
      const command = words.slice(words.indexOf('--') + 1);
      return words[1] === 'exec' && command[0] === 'pangalactic' ? [command] : [];
    });
    const asked = [...of('pangalactic').map(({ words }) => words), ...inPods];
    expect(asked.length).toBeGreaterThanOrEqual(4);
    for (const words of asked) {
      const { options, rest } = parseOptions(words.slice(1));
      const command = rest.reduce<ReturnType<typeof createProgram> | undefined>(
        (parent, word) => parent?.commands.find((child) => child.name() === word) ?? parent,
        createProgram(),
      );
      expect(
        command?.commands.map((child) => child.name()),
        words.join(' '),
      ).toEqual([]);
      for (const option of options.keys()) expect(command?.options.map(({ long }) => long)).toContain(option);
    }
  });

  it('points Grafana at the service of Prometheus', () => {
    const [install] = of('helm').filter(({ words }) => words[1] === 'install');
    const url = /\.url=http:\/\/([\w-]+):(\d+)/.exec(install!.text)!;
    const { spec } = find(readManifestsOf('monitoring/prometheus.yaml'), 'Service', url[1]!);
    expect(spec?.ports?.map(({ port }) => port)).toContain(Number(url[2]));
  });

  it('builds images from targets that exist, and starts services that exist', () => {
    for (const { words } of of('docker').filter(({ words }) => words[1] === 'build')) {
      const { options, rest } = parseOptions(words.slice(2));
      const [target] = options.get('--target')!;
      expect(existsSync(join(repositoryRoot(), options.get('-f')![0]!))).toBe(true);
      expect([...images.keys()]).toContain(target);
      expect(options.get('-t')![0]).toMatch(new RegExp(`^pangalactic/${target}:v`));
      expect(rest).toEqual(['.']);
    }
  });

  it('lists variables with the defaults that they have', () => {
    const rows = [...page.matchAll(/^\| `(\w+)` +\| (\w+) +\| (\S+|\(.*?\)) +\|/gm)];
    expect(rows).toHaveLength(12);
    for (const [, variable, process, fallback] of rows) {
      const row = VARIABLE_TABLE.find((known) => known.variable === variable);
      expect(row).toMatchObject({ process });
      if (!fallback!.startsWith('(')) expect(row?.default).toBe(fallback);
    }
  });
});

function readManifestsOf(path: string) {
  const cluster = new PageCluster();
  cluster.check(['apply', '-f', `deploy/kubernetes/${path}`]);
  return cluster.applied;
}
