import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

export interface EtcdMemberSpec {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Data and log. */
  readonly folder: string;
  /** `name=peer URL` of all members. */
  readonly initialCluster: string;
  /** Clients must present a certificate of the same CA. */
  readonly tls?: TlsFiles;
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** One member of an etcd cluster as a real process. */
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
    return join(this.spec.folder, `${this.name}.log`);
  }

  /** For the first time, or again with the data it had. */
  start(): void {
    const { name, folder, peerPort, initialCluster, tls } = this.spec;
    const [client, peer] = [this.endpoint, loopbackUrl(peerPort)];
    const settings = {
      name,
      'data-dir': join(folder, name),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': initialCluster,
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
    this.process = spawn('setpriv', ['--pdeathsig', 'KILL', ...etcd], { stdio: ['ignore', log, log] });
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

export function loopbackUrl(port: number): string {
  return `http://127.0.0.1:${port}`;
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
