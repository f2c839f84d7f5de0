import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../free-port';
import { FaultProxy } from '../network/fault-proxy';
import { until } from '../until';
import { EtcdMember, peerSocket, requireEtcd, type TlsFiles } from './etcd-member';

const START_TIMEOUT_MS = 30_000;
const ETCDCTL_TIMEOUT_MS = 10_000;

/** A client's own way to each member, which can be cut or stalled without touching anybody else's. */
export interface EtcdLink {
  readonly endpoints: readonly string[];
  readonly proxies: readonly FaultProxy[];
}

/** A member's own way to another. */
interface PeerLink {
  readonly ends: readonly [from: string, to: string];
  readonly proxy: FaultProxy;
}

/** etcd members on the loopback interface, with their data in a folder for temporary files. */
export class EtcdCluster {
  private readonly proxies: FaultProxy[] = [];

  private constructor(
    readonly members: readonly EtcdMember[],
    private readonly peerLinks: readonly PeerLink[],
    private readonly folder: string,
    private readonly tls: TlsFiles | undefined,
  ) {}

  static async start(size = 3, tls?: TlsFiles): Promise<EtcdCluster> {
    requireEtcd();
    const folder = await mkdtemp(join(tmpdir(), 'pangalactic-etcd-'));
    const names = Array.from({ length: size }, (_, index) => `etcd-${index}`);
    const members: EtcdMember[] = [];
    const peerLinks: PeerLink[] = [];
    for (const name of names) {
      const own = join(folder, name);
      await mkdir(own);
      const spec = { name, folder: own, clientPort: await freePort(), cluster: names };
      members.push(new EtcdMember({ ...spec, ...(tls && { tls }) }));
      for (const peer of names.filter((other) => other !== name)) {
        const proxy = await FaultProxy.to(peerSocket(join(folder, peer), peer), {}, peerSocket(own, peer));
        peerLinks.push({ ends: [name, peer], proxy });
      }
    }
    const cluster = new EtcdCluster(members, peerLinks, folder, tls);
    for (const member of cluster.members) member.start();
    await cluster.untilHealthy();
    return cluster;
  }

  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  async link(): Promise<EtcdLink> {
    const proxies = await Promise.all(this.members.map(({ clientAddress }) => FaultProxy.to(clientAddress)));
    this.proxies.push(...proxies);
    return { proxies, endpoints: proxies.map(({ address }) => `http://${address}`) };
  }

  /** Nothing passes between the member and its peers, as when packets are lost; clients still reach it. */
  isolate({ name }: EtcdMember): void {
    for (const { ends, proxy } of this.peerLinks) if (ends.includes(name)) proxy.stall();
  }

  /** Members reach each other again. */
  reunite(): void {
    for (const { proxy } of this.peerLinks) proxy.restore();
  }

  /** All members answer and agree. */
  async untilHealthy(): Promise<void> {
    await until(() => this.etcdctl('endpoint', 'health').then(() => true), {
      timeoutMs: START_TIMEOUT_MS,
      message: `a healthy etcd cluster; logs: ${this.folder}`,
    });
  }

  /** The member that leads in the consensus protocol. */
  async leader(): Promise<EtcdMember> {
    const output = await this.etcdctl('endpoint', 'status', '--write-out=json');
    const status = JSON.parse(output) as { Status: { header: { member_id: number }; leader: number } }[];
    const index = status.findIndex(({ Status }) => Status.header.member_id === Status.leader);
    const leader = this.members[index];
    if (!leader) throw new Error('the etcd cluster has no leader');
    return leader;
  }

  async etcdctl(...commandLine: string[]): Promise<string> {
    const { tls } = this;
    const access = tls ? [`--cacert=${tls.ca}`, `--cert=${tls.certificate}`, `--key=${tls.key}`] : [];
    const flags = [`--endpoints=${this.endpoints.join()}`, ...access];
    const { stdout } = await promisify(execFile)('etcdctl', [...flags, ...commandLine], {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', ETCDCTL_API: '3' },
      timeout: ETCDCTL_TIMEOUT_MS,
    });
    return stdout;
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    for (const proxy of [...this.proxies, ...this.peerLinks.map(({ proxy }) => proxy)]) proxy.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
