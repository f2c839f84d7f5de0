import { readFile } from 'node:fs/promises';
import { ConfigError, type HubConfig } from '@pangalactic/config';
import { EtcdStateRepository, type EtcdOptions } from './etcd/etcd-state-repository';
import { SqliteStateRepository } from './sqlite/sqlite-state-repository';
import type { StateRepository } from './state-repository';

/** A leader that is out of touch for longer stops leading. */
const LEASE_TTL_MS = 10_000;

/**
 * For a Nest provider: `{ provide: STATE_REPOSITORY, useFactory: () => openConfiguredState(config) }`.
 * @throws ConfigError
 */
export async function openConfiguredState(config: HubConfig): Promise<StateRepository> {
  const { stateBackend, sqlitePath, etcdEndpoints: endpoints, etcdPrefix: prefix } = config;
  if (stateBackend === 'sqlite') return SqliteStateRepository.open(sqlitePath);
  const access = { ...user(config), ...(await tls(config)) };
  return new EtcdStateRepository({ endpoints, prefix, leaseTtlMs: LEASE_TTL_MS, ...access });
}

function user({ etcdUsername, etcdPassword }: HubConfig): Pick<EtcdOptions, 'user'> {
  if (etcdUsername !== undefined && etcdPassword !== undefined) {
    return { user: { name: etcdUsername, password: etcdPassword } };
  }
  if (etcdUsername === undefined && etcdPassword === undefined) return {};
  throw new ConfigError('HUB_ETCD_USERNAME, HUB_ETCD_PASSWORD: allowed: both or neither');
}

async function tls({ etcdCaFile, etcdCertFile, etcdKeyFile }: HubConfig): Promise<Pick<EtcdOptions, 'tls'>> {
  if ((etcdCertFile === undefined) !== (etcdKeyFile === undefined)) {
    throw new ConfigError('HUB_ETCD_CERT_FILE, HUB_ETCD_KEY_FILE: allowed: both or neither');
  }
  const [ca, certificate, key] = await Promise.all([
    read('HUB_ETCD_CA_FILE', etcdCaFile),
    read('HUB_ETCD_CERT_FILE', etcdCertFile),
    read('HUB_ETCD_KEY_FILE', etcdKeyFile),
  ]);
  if (!ca && !certificate) return {};
  return { tls: { ...(ca && { ca }), ...(certificate && { certificate }), ...(key && { key }) } };
}

async function read(variable: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`${variable}=${JSON.stringify(path)}: allowed: a file that can be read (${error.code})`);
  });
}
