import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type { V1Container, V1HorizontalPodAutoscaler, V1PodDisruptionBudget } from '@kubernetes/client-node';
import { loadGatewayConfig } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeApplication, isApplication, unknownVariables } from './applications';
import { readDockerfile } from './dockerfile';
import { schemaMistakes, type Manifest } from './kubernetes-schema';
import {
  containerEnvironment,
  containersOf,
  kustomizationFiles,
  kustomize,
  kustomizeWith,
  manifestFiles,
  parseManifests,
  readManifests,
  workloads,
  type Workload,
} from './manifests';
import { hasKubectl } from './programs';

const POD = {
  name: 'etcd-0',
  ip: '10.1.2.3',
  nodeName: 'worker-1.example.com',
  secrets: { 'pangalactic-gateway-secret/api-key': 'key' },
};
const OUR_PORTS = { hub: ['grpc', 'http'], node: ['grpc', 'http'], gateway: ['http'] };
const PROBES = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;
const { version } = JSON.parse(readFileSync(join(repositoryRoot(), 'package.json'), 'utf8')) as { version: string };
const images = readDockerfile();
const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
const secretFile = join(folder, 'token');
writeFileSync(secretFile, 'a-secret\n');
afterAll(() => rmSync(folder, { recursive: true }));

/** Every set of manifests that somebody applies. */
const sets: [name: string, read: () => Manifest[]][] = [
  ['the files of the guide', () => manifestFiles().flatMap(readManifests)],
];
if (hasKubectl()) {
  for (const overlay of ['dev', 'production', 'gpu-operator', 'high-availability']) {
    sets.push([`overlay ${overlay}`, () => kustomize(`deploy/kubernetes/overlays/${overlay}`)]);
  }
  sets.push(
    ['production on AMD GPUs', () => kustomizeWith('production', 'amd-gpu')],
    [
      'production with everything',
      () => kustomizeWith('production', 'hub-high-availability', 'nvidia-gpu', 'shared-model-volume'),
    ],
  );
}

it('deploy/kubernetes is another name of k8s', () => {
  expect(readlinkSync(join(repositoryRoot(), 'deploy', 'kubernetes'))).toBe('../k8s');
});

it('patches have one document each: kubectl before 1.31 refuses more', () => {
  const patches = kustomizationFiles().flatMap((path) => {
    const { patches = [] } = parse(readFileSync(path, 'utf8')) as { patches?: { path?: string }[] };
    return patches.flatMap((patch) => (patch.path ? [join(dirname(path), patch.path)] : []));
  });
  expect(patches.length).toBeGreaterThan(3);
  for (const path of patches) expect(parseManifests(readFileSync(path, 'utf8')), path).toHaveLength(1);
});

it.each<[what: string, change: (hub: Workload) => unknown, mistake: string]>([
  ['a field that does not exist', (hub) => ({ ...hub, spec: { ...hub.spec, replica: 1 } }), 'spec.replica is no field'],
  ['a wrong type', (hub) => ({ ...hub, spec: { ...hub.spec, replicas: 'two' } }), 'replicas must be integer'],
  ['a missing field', ({ apiVersion, kind }) => ({ apiVersion, kind, spec: {} }), 'selector'],
  ['an API that is gone', (hub) => ({ ...hub, apiVersion: 'extensions/v1beta1' }), 'is not served'],
])('the schema notices %s', (_, change, mistake) => {
  const [hub] = workloads(readManifests('k8s/hub/deployment.yaml'));
  expect(schemaMistakes(hub!)).toEqual([]);
  expect(schemaMistakes(change(hub!) as Manifest).join()).toContain(mistake);
});

describe.each(sets)('%s', (name, read) => {
  const manifests = read();
  const ofKind = <T>(kind: string) => manifests.filter((manifest) => manifest.kind === kind) as unknown as T[];
  const all = workloads(manifests);
  const containers = all.flatMap((workload) => containersOf(workload).map((container) => ({ workload, container })));
  const ours = containers.flatMap(({ workload, container }) =>
    isApplication(container.name) ? [{ workload, container, app: container.name }] : [],
  );

  it('holds to the Kubernetes schema, each object once', () => {
    expect(manifests.flatMap(schemaMistakes)).toEqual([]);
    const keys = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(keys).toEqual([...new Set(keys)]);
    for (const key of ['DaemonSet/pangalactic-node', 'Deployment/pangalactic-hub', 'Deployment/pangalactic-gateway']) {
      expect(keys).toContain(key);
    }
  });

  it('has selectors that select', () => {
    for (const { kind, metadata, spec } of all) {
      if (kind === 'Job') continue;
      const { selector } = spec as unknown as { selector: { matchLabels: object } };
      expect(spec.template.metadata?.labels, metadata.name).toMatchObject(selector.matchLabels);
    }
    for (const { metadata, spec } of ofKind<V1PodDisruptionBudget>('PodDisruptionBudget')) {
      expect(selectedBy(spec?.selector?.matchLabels), metadata?.name).toHaveLength(1);
    }
    for (const { spec } of ofKind<V1HorizontalPodAutoscaler>('HorizontalPodAutoscaler')) {
      const target = all.find(({ metadata }) => metadata.name === spec?.scaleTargetRef.name);
      expect(target).toMatchObject({ kind: spec?.scaleTargetRef.kind, apiVersion: spec?.scaleTargetRef.apiVersion });
      // Without a request there is nothing to be 70 % of.
      for (const { resources } of containersOf(target!)) expect(resources?.requests?.cpu).toBeDefined();
    }
  });

  it('has services whose ports exist', () => {
    for (const { metadata, spec } of manifests.filter(({ kind }) => kind === 'Service') as unknown as Service[]) {
      const [target, ...others] = selectedBy(spec.selector);
      expect(others, metadata.name).toEqual([]);
      const names = containersOf(target!).flatMap(({ ports = [] }) => ports.map(({ name }) => name));
      for (const { targetPort } of spec.ports) expect(names, metadata.name).toContain(targetPort);
    }
  });

  it('has ports in range, and probes and scrapes at ports that exist', () => {
    for (const { workload, container } of containers) {
      const { ports = [] } = container;
      const numbers = ports.map(({ containerPort }) => containerPort);
      expect(numbers.every((port) => port >= 1 && port <= 65_535)).toBe(true);
      expect([...new Set(numbers)]).toEqual(numbers);
      const names = ports.map(({ name }) => name);
      for (const probe of workload.kind === 'Job' ? [] : PROBES) {
        expect(names, `${container.name} ${probe}`).toContain(container[probe]?.httpGet?.port);
      }
      const { 'prometheus.io/port': scraped } = workload.spec.template.metadata?.annotations ?? {};
      if (scraped) expect(numbers).toContain(Number(scraped));
    }
  });

  it('restricts every container', () => {
    for (const { workload, container } of containers) {
      const where = `${workload.metadata.name}/${container.name}`;
      const pod = workload.spec.template.spec!;
      expect(pod.automountServiceAccountToken, where).toBe(workload.metadata.name === 'prometheus');
      expect({ ...pod.securityContext, ...container.securityContext }, where).toMatchObject({
        // Root in one place: who makes the model directory belong to its user.
        runAsNonRoot: container.name !== 'own-directory',
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(Object.keys(container.resources?.requests ?? {}), where).toEqual(['cpu', 'memory']);
      // The memory of a node's machine is there for the model.
      if (container.name !== 'node') expect(container.resources?.limits?.memory, where).toBeDefined();
      expect(container.image, where).toMatch(/:v?\d+\.\d+\.\d+$/);
    }
  });

  it('runs images of this version, which the Dockerfile makes', () => {
    const built = containers.flatMap(({ container }) => /^pangalactic\/(.+):(.+)$/.exec(container.image!) ?? []);
    expect(built).not.toEqual([]);
    for (const { container } of ours) {
      const [, target, tag] = /^pangalactic\/(.+):(.+)$/.exec(container.image!)!;
      expect(tag).toBe(`v${version}`);
      expect([...images.keys()]).toContain(target);
    }
  });

  it('configures processes that understand it', () => {
    expect(ours.map(({ app }) => app).sort()).toEqual(['gateway', 'hub', 'node']);
    for (const { workload, container, app } of ours) {
      expect(unknownVariables(app, container), app).toEqual([]);
      const { ports, writes, shutdownSeconds } = describeApplication(app, environmentOf(workload, container));
      const declared = container.ports?.map(({ name, containerPort }) => [name!, containerPort]) ?? [];
      expect(Object.fromEntries(declared), app).toEqual(ports);
      expect(Object.keys(ports).sort(), app).toEqual(OUR_PORTS[app]);
      expect(PROBES.map((probe) => container[probe]?.httpGet?.path)).toEqual(['/healthz', '/healthz', '/readyz']);
      expect(workload.spec.template.metadata?.annotations).toMatchObject({
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(ports.http),
        'prometheus.io/path': '/metrics',
      });
      for (const path of writes) expect(isWritable(container, path), `${app} writes ${path}`).toBe(true);
      expect(workload.spec.template.spec?.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(shutdownSeconds);
    }
  });

  it('lets a gateway accept connections until probes have found that it leaves', () => {
    const { workload, container } = ours.find(({ app }) => app === 'gateway')!;
    const { periodSeconds = 0, failureThreshold = 0 } = container.readinessProbe ?? {};
    const { drainDelayMs } = loadGatewayConfig(environmentOf(workload, container));
    expect(drainDelayMs).toBeGreaterThan(0);
    expect(drainDelayMs / 1000).toBeGreaterThanOrEqual(periodSeconds * failureThreshold);
  });

  it('mounts volumes that exist', () => {
    const claims = manifests
      .filter(({ kind }) => kind === 'PersistentVolumeClaim')
      .map(({ metadata }) => metadata.name);
    for (const { workload, container } of containers) {
      const { volumes = [] } = workload.spec.template.spec!;
      const { volumeClaimTemplates = [] } = workload.spec as { volumeClaimTemplates?: Manifest[] };
      const names = [...volumes.map(({ name }) => name), ...volumeClaimTemplates.map(({ metadata }) => metadata.name)];
      for (const mount of container.volumeMounts ?? []) expect(names).toContain(mount.name);
      for (const { persistentVolumeClaim } of volumes) {
        if (persistentVolumeClaim) expect(claims).toContain(persistentVolumeClaim.claimName);
      }
    }
  });

  if (name.startsWith('overlay') || name.startsWith('production')) {
    it('is in the namespace of the guide', () => {
      for (const { kind, metadata } of manifests) {
        if (kind !== 'Namespace') expect(metadata.namespace, metadata.name).toBe('pangalactic');
      }
    });
  }

  function selectedBy(labels: Record<string, string> | undefined): Workload[] {
    return all.filter(({ spec }) =>
      Object.entries(labels ?? {}).every(([key, value]) => spec.template.metadata?.labels?.[key] === value),
    );
  }
});

interface Service {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly selector: Record<string, string>; readonly ports: { readonly targetPort: string }[] };
}

/** With what the image sets; a file of a mounted secret is one of this machine. */
function environmentOf(workload: Workload, container: V1Container): Record<string, string> {
  const target = /^pangalactic\/(.+):/.exec(container.image!)![1]!;
  const environment = { ...images.get(target)?.env, ...containerEnvironment(container, POD) };
  for (const [name, path] of Object.entries(environment)) {
    if (!name.endsWith('_FILE')) continue;
    expect(secretOf(workload, container, path), `${name}=${path}`).toBeDefined();
    environment[name] = secretFile;
  }
  return environment;
}

/** The secret that is mounted where the path leads. */
function secretOf({ spec }: Workload, { volumeMounts = [] }: V1Container, path: string): string | undefined {
  const mount = volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
  return spec.template.spec?.volumes?.find(({ name }) => name === mount?.name)?.secret?.secretName;
}

function isWritable({ volumeMounts = [] }: V1Container, path: string): boolean {
  return volumeMounts.some(
    ({ mountPath, readOnly }) => readOnly !== true && !relative(mountPath, path).startsWith('..'),
  );
}
