import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseEnvFile } from 'node:querystring';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeApplication, unknownVariables } from './applications';
import { readDockerfile } from './dockerfile';
import { hasDockerCompose } from './programs';

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly networks?: { readonly default: { readonly aliases: readonly string[] } };
}

const root = repositoryRoot();
const images = readDockerfile();
const compose = parse(readFileSync(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, null>>;
};
const services = Object.entries(compose.services);
const ours = services.flatMap(([name, service]) => {
  const app = (['hub', 'node', 'gateway'] as const).find((app) => name.startsWith(app));
  return app ? [{ name, service, app, environment: environmentOf(service) }] : [];
});

/** Names under which the services of these profiles reach each other. */
function namesWith(profile: string): string[] {
  return services
    .filter(([, { profiles }]) => !profiles || profiles.includes(profile))
    .flatMap(([name, { networks }]) => [name, ...(networks?.default.aliases ?? [])]);
}

describe('docker-compose.yml', () => {
  it.skipIf(!hasDockerCompose())('is valid for docker-compose', () => {
    const { status, stderr } = spawnSync('docker-compose', ['config', '--quiet'], { cwd: root, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('starts a hub, three nodes, a gateway, Prometheus and Grafana; the profile etcd swaps the backend', () => {
    const { COMPOSE_PROFILES } = parseEnvFile(readFileSync(join(root, '.env'), 'utf8').replace(/^#.*$/gm, '').trim());
    expect(COMPOSE_PROFILES).toBe('sqlite');
    const always = ['node-1', 'node-2', 'node-3', 'gateway', 'prometheus', 'grafana'];
    expect(new Set(namesWith('sqlite'))).toEqual(new Set(['hub', ...always]));
    expect(new Set(namesWith('etcd'))).toEqual(
      new Set(['hub', 'hub-on-etcd', 'etcd-0', 'etcd-1', 'etcd-2', ...always]),
    );
    const backend = (name: string) => ours.find((service) => service.name === name)?.environment.HUB_STATE_BACKEND;
    expect([backend('hub'), backend('hub-on-etcd')]).toEqual([undefined, 'etcd']);
  });

  it.each(ours)('$name has a configuration that its process understands', ({ service, app, environment }) => {
    const names = Object.keys(service.environment ?? {}).map((name) => ({ name }));
    expect(unknownVariables(app, { name: app, env: names })).toEqual([]);
    const { ports, writes, shutdownSeconds } = describeApplication(app, environment);
    expect(shutdownSeconds).toBeGreaterThan(0);
    // The probe of the health check is at the port where the process has it.
    expect(service.healthcheck?.test).toEqual([
      'CMD',
      'node',
      '/app/docker/healthcheck.mjs',
      `http://127.0.0.1:${ports.http}/readyz`,
    ]);
    for (const mapping of service.ports ?? [])
      expect(Object.values(ports).map(String)).toContain(mapping.split(':').at(-1));
    const mounts = (service.volumes ?? []).map((volume) => volume.split(':')[1]!);
    for (const path of writes) expect(mounts.some((mount) => path.startsWith(`${mount}/`))).toBe(true);
  });

  it.each(ours)('$name dials services that exist', ({ service, environment }) => {
    for (const profile of service.profiles ?? ['sqlite', 'etcd']) {
      const addresses = [environment.NODE_HUB_ADDR, environment.GATEWAY_HUB_ADDR, environment.HUB_ETCD_ENDPOINTS];
      const hosts = addresses.flatMap((text) => text?.split(',') ?? []).map((url) => /([\w-]+):\d+$/.exec(url)?.[1]);
      for (const host of hosts) expect(namesWith(profile)).toContain(host);
    }
  });

  it.each(ours)('$name is built from a target of the Dockerfile, under the name of its image', ({ service }) => {
    const { context, dockerfile, target } = service.build!;
    expect(existsSync(join(root, context, dockerfile))).toBe(true);
    expect([...images.keys()]).toContain(target);
    expect(service.image).toMatch(new RegExp(`^pangalactic/${target}:v\\d`));
  });

  it('mounts volumes and folders that are declared, pins images and hardens every container', () => {
    for (const [name, service] of services) {
      expect(service.image, name).toMatch(/:v?\d+\.\d+\.\d+$/);
      expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'], restart: 'unless-stopped' });
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0]!;
        if (source.startsWith('.')) expect(existsSync(join(root, source)), source).toBe(true);
        else expect(Object.keys(compose.volumes)).toContain(source);
      }
    }
  });

  it('has an etcd of three members that name each other', () => {
    const members = services.filter(([name]) => name.startsWith('etcd-'));
    expect(members).toHaveLength(3);
    for (const [name, { environment }] of members) {
      expect(environment).toMatchObject({
        ETCD_NAME: name,
        ETCD_ADVERTISE_CLIENT_URLS: `http://${name}:2379`,
        ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://${name}:2380`,
      });
      expect(environment?.ETCD_INITIAL_CLUSTER?.split(',')).toContain(`${name}=http://${name}:2380`);
    }
  });

  it('has Prometheus scrape every process at the port where it has metrics', () => {
    const { scrape_configs } = parse(readFileSync(join(root, 'docker/prometheus/prometheus.yml'), 'utf8')) as {
      scrape_configs: { static_configs?: { targets: string[] }[] }[];
    };
    const targets = scrape_configs.flatMap(({ static_configs = [] }) =>
      static_configs.flatMap(({ targets }) => targets),
    );
    for (const { name, app, environment } of ours) {
      const { ports } = describeApplication(app, environment);
      expect(targets).toContain(`${name === 'hub-on-etcd' ? 'hub' : name}:${ports.http}`);
    }
  });

  it('has Grafana find its data source and its dashboards', () => {
    const provisioned = (kind: string) => {
      const folder = join(root, 'docker/grafana/provisioning', kind);
      const files = readdirSync(folder).map((file) => parse(readFileSync(join(folder, file), 'utf8')) as object);
      return Object.assign({}, ...files) as object;
    };
    expect(provisioned('datasources')).toMatchObject({ datasources: [{ url: 'http://prometheus:9090' }] });
    expect(provisioned('dashboards')).toMatchObject({
      providers: [{ options: { path: '/var/lib/grafana/dashboards' } }],
    });
    expect(compose.services.grafana).toMatchObject({
      ports: ['127.0.0.1:3000:3000'],
      environment: { GF_SECURITY_ADMIN_USER: 'admin', GF_SECURITY_ADMIN_PASSWORD: 'pangalactic' },
    });
  });
});

/** With what the image sets and without what the shell adds: `${NAME:-}` is empty. */
function environmentOf({ build, environment = {} }: Service): Record<string, string> {
  const own = Object.entries(environment).map(([name, value]) => [name, value.replace(/^\$\{\w+:-\}$/, '')]);
  return { ...images.get(build?.target ?? '')?.env, ...(Object.fromEntries(own) as Record<string, string>) };
}
