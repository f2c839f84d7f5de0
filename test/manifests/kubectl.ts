import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Container } from '@kubernetes/client-node';
import { repositoryRoot } from '@pangalactic/contracts';
import { schemaMistakes, type Manifest } from './kubernetes-schema';
import { containersOf, find, kustomize, readManifests, workloads, type Workload } from './manifests';
import { parseOptions } from './shell-commands';

const SWITCHES = new Set(['-it', '-d']);
const RESOURCES: Readonly<Record<string, string>> = {
  deployment: 'Deployment',
  statefulset: 'StatefulSet',
  daemonset: 'DaemonSet',
  service: 'Service',
  job: 'Job',
  secret: 'Secret',
};

/** A change that a command makes to a container. */
export interface ContainerChange {
  readonly workload: string;
  readonly container: V1Container;
}

/**
 * What kubectl would find in a cluster in which all of a page's `apply` commands have run. Each command is checked against
 * it: an object, container, label, key, port or path that is not there is an error. Nothing is run.
 */
export class PageCluster {
  readonly namespaces = new Set<string>();
  /** `secret/key`. */
  readonly secrets = new Set<string>();
  readonly applied: Manifest[] = [];
  readonly changes: ContainerChange[] = [];

  /** @throws Error saying what the command names and is not there; also for a command it does not know */
  check(words: readonly string[]): void {
    const { options, rest } = parseOptions(words, SWITCHES);
    const [verb = '', ...args] = rest;
    const namespace = options.get('-n')?.[0];
    if (namespace !== undefined && !this.namespaces.has(namespace)) throw new Error(`no namespace ${namespace}`);
    switch (verb) {
      case 'create':
        return this.create(args, options);
      case 'apply':
        return this.apply(options);
      case 'kustomize':
        return void kustomize(this.existing(args[0]));
      case 'rollout':
        return this.rollout(args);
      case 'get':
        return this.get(args, options);
      case 'exec':
        return void this.pod(args[0]);
      case 'port-forward':
        return this.portForward(args);
      case 'label':
        return this.label(args);
      case 'set':
        return this.set(args);
      case 'patch':
        return this.patch(args, options);
      case 'wait':
        return void this.workload(args[0]);
      default:
        throw new Error(`kubectl ${verb} is not checked`);
    }
  }

  private create([what, ...args]: string[], options: Map<string, string[]>): void {
    if (what === 'namespace') return void this.namespaces.add(args[0]!);
    if (what !== 'secret' || args[0] !== 'generic') throw new Error(`kubectl create ${what} is not checked`);
    const referenced = this.applied.flatMap((manifest) => secretKeys(manifest));
    for (const literal of options.get('--from-literal') ?? []) {
      const key = `${args[1]}/${literal.split('=')[0]}`;
      if (!referenced.includes(key)) throw new Error(`no manifest reads the secret ${key}`);
      this.secrets.add(key);
    }
  }

  private apply(options: Map<string, string[]>): void {
    const [file] = options.get('-f') ?? [];
    const manifests = file ? readManifests(this.existing(file)) : kustomize(this.existing(options.get('-k')?.[0]));
    const mistakes = manifests.flatMap(schemaMistakes);
    if (mistakes.length > 0) throw new Error(mistakes.join('\n'));
    for (const { kind, metadata } of manifests) if (kind === 'Namespace') this.namespaces.add(metadata.name);
    this.applied.push(...manifests);
  }

  private existing(path: string | undefined): string {
    if (path === undefined || !existsSync(join(repositoryRoot(), path))) throw new Error(`no file ${path}`);
    return path;
  }

  private rollout([what, target]: string[]): void {
    if (what !== 'status') throw new Error(`kubectl rollout ${what} is not checked`);
    const { kind, spec } = this.workload(target);
    const { updateStrategy } = spec as { updateStrategy?: { type?: string } };
    if (kind === 'Job' || updateStrategy?.type === 'OnDelete') throw new Error(`${target} has no rollout status`);
  }

  private get([what = '', name]: string[], options: Map<string, string[]>): void {
    if (what === 'pods') return void this.selected(options.get('-l')?.[0]);
    if (what === 'secret') {
      const key = `${name}/${/\.data\.([\w-]+)/.exec(options.get('-o')?.[0] ?? '')?.[1]}`;
      if (!this.secrets.has(key)) throw new Error(`no secret ${key}`);
    } else {
      this.object(what, name);
    }
  }

  /** `deployment/<name>`, or the name of a StatefulSet's pod with or without `pod/`. */
  private pod(target = ''): Workload {
    if (/^(deployment|daemonset)\//.test(target)) return this.workload(target);
    const [, set = '', ordinal = ''] = /^(?:pod\/)?(.+)-(\d+)$/.exec(target) ?? [];
    const { spec } = find(this.applied, 'StatefulSet', set);
    if (Number(ordinal) >= (spec?.replicas ?? 1)) throw new Error(`no pod ${target}`);
    return this.workload(`statefulset/${set}`);
  }

  private portForward([target = '', mapping = '']: string[]): void {
    const port = Number(mapping.split(':')[1]);
    const ports = target.startsWith('service/')
      ? find(this.applied, 'Service', target.slice('service/'.length)).spec?.ports?.map(({ port }) => port)
      : containersOf(this.pod(target)).flatMap(({ ports = [] }) => ports.map(({ containerPort }) => containerPort));
    if (!ports?.includes(port)) throw new Error(`${target} has no port ${port}`);
  }

  private label([what, , label = '']: string[]): void {
    const [key = '', value] = label.split('=');
    const selectors = workloads(this.applied).map(({ spec }) => spec.template.spec?.nodeSelector ?? {});
    if (what !== 'node' || !selectors.some((selector) => selector[key] === value)) {
      throw new Error(`nothing selects nodes by ${label}`);
    }
  }

  private set([what, target, ...assignments]: string[]): void {
    const containers = this.workload(target).spec.template.spec!.containers;
    for (const assignment of assignments) {
      const [name = '', value = ''] = splitOnce(assignment, '=');
      // `set env` changes every container of the pod.
      const changed = what === 'env' ? containers : containers.filter((container) => container.name === name);
      if (changed.length === 0) throw new Error(`${target} has no container ${name}`);
      for (const container of changed) {
        const change = what === 'env' ? { env: [{ name, value }] } : { image: value };
        this.changes.push({ workload: target!, container: { name: container.name, ...change } });
      }
    }
  }

  private patch([kind, name]: string[], options: Map<string, string[]>): void {
    const workload = this.workload(`${kind}/${name}`);
    const patch = JSON.parse(options.get('-p')?.[0] ?? '') as Workload;
    const containers = patch.spec.template.spec!.containers;
    const names = containersOf(workload).map(({ name }) => name);
    for (const container of containers) {
      // A strategic merge by name would add a second container.
      if (!names.includes(container.name)) throw new Error(`${name} has no container ${container.name}`);
      this.changes.push({ workload: `${kind}/${name}`, container });
    }
  }

  private selected(selector = ''): Workload[] {
    const [key = '', value] = selector.split('=');
    const found = workloads(this.applied).filter(({ spec }) => spec.template.metadata?.labels?.[key] === value);
    if (found.length === 0) throw new Error(`no pods with ${selector}`);
    return found;
  }

  private workload(target = ''): Workload {
    const [kind = '', name] = target.split('/');
    return this.object(kind, name) as Workload;
  }

  private object(resource: string, name: string | undefined): Manifest {
    const kind = RESOURCES[resource];
    const found = this.applied.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
    if (!found) throw new Error(`no ${resource} ${name}`);
    return found;
  }
}

/** `secret/key` of every reference, in environment variables and volumes. */
function secretKeys(manifest: Manifest): string[] {
  return workloads([manifest]).flatMap((workload) => [
    ...containersOf(workload).flatMap(({ env = [] }) =>
      env.flatMap(({ valueFrom }) => (valueFrom?.secretKeyRef ? [joinKey(valueFrom.secretKeyRef)] : [])),
    ),
    ...mountedKeys(workload),
  ]);
}

/** A mounted secret has its keys as file names: those that some variable names. */
function mountedKeys(workload: Workload): string[] {
  const { volumes = [] } = workload.spec.template.spec!;
  return containersOf(workload).flatMap(({ env = [], volumeMounts = [] }) =>
    volumeMounts.flatMap(({ name, mountPath }) => {
      const secret = volumes.find((volume) => volume.name === name)?.secret?.secretName;
      const files = env.flatMap(({ value }) => (value?.startsWith(`${mountPath}/`) ? [value] : []));
      return secret ? files.map((file) => `${secret}/${file.slice(mountPath.length + 1)}`) : [];
    }),
  );
}

function joinKey({ name, key }: { readonly name?: string; readonly key: string }): string {
  return `${name}/${key}`;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}
