import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

export interface EtcdMemberSpec {
  readonly name: string;
  readonly clientPort: number;
  /** Its own: data, log, its peer socket, and a socket for its way to each peer. */
  readonly folder: string;
  /** Names of all members. */
  readonly cluster: readonly string[];
  /** Clients must present a certificate of the same CA. */
  readonly tls?: TlsFiles;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * One member of an etcd cluster as a real process. Members reach each other over Unix sockets, whose names etcd resolves in
 * its working directory: so each has ways of its own to the others.
 */
export class EtcdMember {
  private process: ChildProcess | undefined;

  constructor(private readonly spec: EtcdMemberSpec) {}

  get name(): string {
    return this.spec.name;
  }

  get clientAddress(): string {
    return `127.0.0.1:${this.spec.clientPort}`;
  }

  get endpoint(): string {
    return `${this.spec.tls ? 'https' : 'http'}://${this.clientAddress}`;
  }

  get logPath(): string {
    return join(this.spec.folder, 'log');
  }

  /** For the first time, or again with the data it had. */
  start(): void {
    const { name, folder, cluster, tls } = this.spec;
    const client = this.endpoint;
    const settings = {
      name,
      'data-dir': join(folder, 'data'),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peerUrl(name),
      'initial-advertise-peer-urls': peerUrl(name),
      'initial-cluster': cluster.map((member) => `${member}=${peerUrl(member)}`).join(),
      'initial-cluster-state': 'new',
      logger: 'zap',
      'log-level': 'warn',
      ...(tls && {
        'trusted-ca-file': tls.ca,
        'cert-file': tls.certificate,
        'key-file': tls.key,
        'client-cert-auth': 'true',
      }),
    };
    const log = openSync(this.logPath, 'a');
    const etcd = ['etcd', ...Object.entries(settings).map(([flag, value]) => `--${flag}=${value}`)];
    // A test process that is killed takes its members with it.
    this.process = spawn('setpriv', ['--pdeathsig', 'KILL', ...etcd], {
      cwd: folder,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
  }

  async kill(): Promise<void> {
    const { process } = this;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    process.kill('SIGKILL');
    await once(process, 'exit');
  }

  /** It neither answers nor closes its connections. */
  freeze(): void {
    this.process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.process?.kill('SIGCONT');
  }
}

/** etcd insists on a port, and takes both for the name of the file. */
function peerHost(name: string): string {
  return `${name}:0`;
}

/** In a member's own folder where it listens, in a peer's folder the way from there to the member. */
export function peerSocket(folder: string, name: string): string {
  return join(folder, peerHost(name));
}

function peerUrl(name: string): string {
  return `unix://${peerHost(name)}`;
}

/** @throws Error that says how to install it */
export function requireEtcd(): void {
  for (const [program, argument] of [
    ['etcd', '--version'],
    ['etcdctl', 'version'],
  ] as const) {
    if (spawnSync(program, [argument]).status !== 0) {
      throw new Error(`${program} is missing: apt-get install etcd-server etcd-client`);
    }
  }
}
