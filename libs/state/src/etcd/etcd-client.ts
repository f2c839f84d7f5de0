import type { Client, ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { GrpcStatus } from '@pangalactic/contracts';
import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  isBrokenCircuitError,
  noop,
  retry,
} from 'cockatiel';
import { Etcd3, isRecoverableError } from 'etcd3';
import type {
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  IRangeRequest,
  IRangeResponse,
  ITxnRequest,
  ITxnResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3';
import { stateError } from './etcd-errors';

export interface EtcdConnection {
  /** All http or all https. */
  readonly endpoints: readonly string[];
  readonly user?: { readonly name: string; readonly password: string };
  /** PEM. */
  readonly tls?: { readonly ca?: Buffer; readonly certificate?: Buffer; readonly key?: Buffer };
}

/** A member that lost its leader answers nothing; the next one may. */
export const CALL_DEADLINE_MS = 1_500;
/** A page of a list may hold a hundred of the largest values. */
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

type WatchStream = ClientDuplexStream<IWatchRequest, IWatchResponse>;
type KeepAliveStream = ClientDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;

/** etcd3 keeps its connections to itself, but its own watch can skip changes and its lease counts from the answer. */
class OpenEtcd3 extends Etcd3 {
  get connections() {
    return this.pool;
  }
}

/** Calls to whichever member answers. Its errors are etcd3's own, for `etcd-errors.ts` to explain. */
export class EtcdClient {
  readonly name: string;
  private readonly etcd: OpenEtcd3;
  /** Only what changes nothing is tried again; after a write the caller has to find out first what became of it. */
  private readonly readPolicy = retry(handleWhen(isTransient), {
    maxAttempts: 4,
    backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 500 }),
  });

  constructor({ endpoints, user, tls }: EtcdConnection) {
    this.name = `etcd ${endpoints.join(',')}`;
    this.etcd = new OpenEtcd3({
      hosts: [...endpoints],
      ...(user && { auth: { username: user.name, password: user.password } }),
      // grpc-js takes undefined for what Node trusts by default; etcd3's type does not say so.
      ...(tls && { credentials: { rootCertificate: tls.ca!, certChain: tls.certificate, privateKey: tls.key } }),
      grpcOptions: {
        // Not below 5000, etcd's --grpc-keepalive-min-time: it would close the connection.
        'grpc.keepalive_time_ms': 5_000,
        'grpc.keepalive_timeout_ms': 1_500,
        // etcd ends connections that ping without a call; calls have deadlines, so only watches need pings.
        'grpc.keepalive_permit_without_calls': 0,
        'grpc.initial_reconnect_backoff_ms': 200,
        'grpc.max_reconnect_backoff_ms': 1_000,
        'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
      },
      // Of what etcd3 calls by itself: authenticate.
      defaultCallOptions: ({ isStream }) => (isStream ? {} : soon()),
      faultHandling: {
        host: () =>
          circuitBreaker(handleWhen(isRecoverableError), { halfOpenAfter: 1_000, breaker: new ConsecutiveBreaker(3) }),
        global: noop,
      },
    });
  }

  /** Linearizable. @throws PangalacticError */
  async read(request: IRangeRequest): Promise<IRangeResponse> {
    try {
      return await this.readPolicy.execute(() => this.etcd.kv.range(request, soon()));
    } catch (error) {
      throw stateError(this.name, error);
    }
  }

  /** Tried once. */
  write(request: ITxnRequest): Promise<ITxnResponse> {
    return this.etcd.kv.txn(request, soon());
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    return (await this.etcd.leaseClient.leaseGrant({ TTL: ttlSeconds }, soon())).ID;
  }

  async revokeLease(id: string): Promise<void> {
    await this.etcd.leaseClient.leaseRevoke({ ID: id }, soon());
  }

  /** Asks one member, another one each time: a stream that is kept could hang on a frozen one. */
  async keepLeaseAlive(id: string): Promise<'alive' | 'expired'> {
    const stream = (await this.etcd.leaseClient.leaseKeepAlive(soon())) as unknown as KeepAliveStream;
    try {
      return await new Promise((resolve, reject) => {
        stream.on('data', ({ TTL }: ILeaseKeepAliveResponse) => resolve(TTL === '0' ? 'expired' : 'alive'));
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('ended without an answer')));
        stream.write({ ID: id });
      });
    } finally {
      // Not cancelled: etcd3 takes any error of a stream that can still be written to for a failure of the member.
      stream.end();
    }
  }

  /** A stream for one watch. It fails when its member loses the majority, instead of staying silent. */
  openWatch(): Promise<WatchStream> {
    const { connections } = this.etcd;
    return connections.withConnection('Watch', ({ resource, client, metadata }) => {
      const requireLeader = metadata.clone();
      requireLeader.set('hasleader', 'true');
      const { watch } = client as Client & { watch: (metadata: Metadata) => WatchStream };
      const stream = watch.call(client, requireLeader);
      stream.on('error', (error: Error & { readonly code?: number }) => {
        // Unless it is our own doing.
        if (error.code !== Number(GrpcStatus.CANCELLED)) connections.markFailed(resource, error);
      });
      return stream;
    });
  }

  close(): void {
    this.etcd.close();
  }
}

/**
 * One deadline for a call and everything that etcd3 makes of it: it authenticates and calls again for as long as a member
 * refuses its tokens.
 */
function soon(): { deadline: number } {
  return { deadline: Date.now() + CALL_DEADLINE_MS };
}

function isTransient(error: Error): boolean {
  return isRecoverableError(error) || isBrokenCircuitError(error);
}
