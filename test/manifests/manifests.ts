import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type {
  V1Container,
  V1DaemonSet,
  V1Deployment,
  V1Job,
  V1NetworkPolicy,
  V1PodTemplateSpec,
  V1Service,
  V1StatefulSet,
} from '@kubernetes/client-node';
import { repositoryRoot } from '@pangalactic/contracts';
import { parseAllDocuments } from 'yaml';
import type { Manifest } from './kubernetes-schema';

/** What kinds are once their schema is known to hold. */
interface Kinds {
  Deployment: V1Deployment;
  StatefulSet: V1StatefulSet;
  DaemonSet: V1DaemonSet;
  Job: V1Job;
  Service: V1Service;
  NetworkPolicy: V1NetworkPolicy;
}
export type Workload = Manifest & { readonly spec: { readonly template: V1PodTemplateSpec } };

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'Job']);

export const kubernetesFolder = join(repositoryRoot(), 'k8s');

/** @throws Error naming the mistake in the YAML, also a key that occurs twice */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { uniqueKeys: true }).flatMap((document) => {
    const [mistake] = document.errors;
    if (mistake) throw mistake;
    const manifest = document.toJS() as Manifest | null;
    return manifest ? [manifest] : [];
  });
}

/** A file that `kubectl apply -f` gets, relative to the repository. */
export function readManifests(path: string): Manifest[] {
  return parseManifests(readFileSync(join(repositoryRoot(), path), 'utf8'));
}

/** Files of k8s/ that are applied as they are: no kustomizations, no patches. */
export function manifestFiles(): string[] {
  return readdirSync(kubernetesFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.yaml') && !/(^overlays|^components|kustomization)/.test(path))
    .map((path) => join('k8s', path))
    .sort();
}

export function kustomizationFiles(): string[] {
  return readdirSync(kubernetesFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('kustomization.yaml'))
    .map((path) => join(kubernetesFolder, path));
}

const kustomized = new Map<string, Manifest[]>();

/** @throws Error with what kubectl says */
export function kustomize(folder: string): Manifest[] {
  const known = kustomized.get(folder) ?? runKustomize(folder);
  kustomized.set(folder, known);
  return known;
}

function runKustomize(folder: string): Manifest[] {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', folder], {
    cwd: repositoryRoot(),
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`kubectl kustomize ${folder}: ${stderr}`);
  return parseManifests(stdout);
}

/** An overlay of k8s/ with components on top, as an operator would write it. */
export function kustomizeWith(overlay: string, ...components: string[]): Manifest[] {
  const folder = mkdtempSync(join(tmpdir(), 'overlay-'));
  const path = (name: string) => relative(folder, join(kubernetesFolder, name));
  try {
    const kustomization = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      namespace: 'pangalactic',
      resources: [path(`overlays/${overlay}`)],
      components: components.map((name) => path(`components/${name}`)),
    };
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    return kustomize(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function find<Kind extends keyof Kinds>(manifests: readonly Manifest[], kind: Kind, name: string): Kinds[Kind] {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

export function workloads(manifests: readonly Manifest[]): Workload[] {
  return manifests.filter(({ kind }) => WORKLOADS.has(kind)) as Workload[];
}

export function containersOf({ spec }: Workload): V1Container[] {
  const { containers = [], initContainers = [] } = spec.template.spec ?? {};
  return [...initContainers, ...containers];
}

/** Facts of the pod that manifests refer to, as the kubelet would fill them in. */
export interface PodFacts {
  readonly name: string;
  readonly ip: string;
  readonly nodeName: string;
  /** `secret/key` to value. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/**
 * The environment that the kubelet makes of a container's `env`.
 * @throws Error at a reference to a variable that is not defined above it, and at a secret or field that is not there
 */
export function containerEnvironment({ env = [] }: V1Container, pod: PodFacts): Record<string, string> {
  const fields: Record<string, string> = {
    'metadata.name': pod.name,
    'status.podIP': pod.ip,
    'spec.nodeName': pod.nodeName,
  };
  const environment: Record<string, string> = {};
  for (const { name, value, valueFrom } of env) {
    const field = valueFrom?.fieldRef?.fieldPath;
    const secret = valueFrom?.secretKeyRef && `${valueFrom.secretKeyRef.name}/${valueFrom.secretKeyRef.key}`;
    const found = field ? fields[field] : secret ? pod.secrets?.[secret] : expand(value ?? '', environment);
    if (found === undefined) throw new Error(`${name}: no ${field ?? secret}`);
    environment[name] = found;
  }
  return environment;
}

/** `$(NAME)` as the kubelet expands it, which leaves what it does not know. */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replace(/\$\(([^)]+)\)/g, (_, name: string) => {
    const value = environment[name];
    if (value === undefined) throw new Error(`$(${name}) is not defined above`);
    return value;
  });
}
