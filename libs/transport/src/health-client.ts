import { Client, credentials, status as Status, type MethodDefinition } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { CLIENT_OPTIONS } from './channel-options';
import { clusterTokenMetadata, type ClusterToken } from './cluster-token';

const CHECK = service['Check'] as MethodDefinition<{ service: string }, { status: string }>;

/** What the transport says of a peer from which nothing came back. */
const SILENCE: ReadonlySet<Status> = new Set([Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED]);

export interface HealthCheckOptions {
  readonly deadlineMs: number;
  readonly clusterToken: ClusterToken | undefined;
}

interface HealthAnswer {
  readonly failure: Status | undefined;
  readonly status: string | undefined;
}

/**
 * Whether the process at that address takes work: it answers in time, and with SERVING. Asks the standard health service
 * (grpc.health.v1). Never rejects.
 */
export async function isServing(address: string, options: HealthCheckOptions): Promise<boolean> {
  const { status } = await checkHealth(address, options);
  return status === 'SERVING';
}

/** Whether the process at that address runs: it answers in time, whatever it says. Never rejects. */
export async function isAnswering(address: string, options: HealthCheckOptions): Promise<boolean> {
  const { failure } = await checkHealth(address, options);
  return failure === undefined || !SILENCE.has(failure);
}

async function checkHealth(address: string, { deadlineMs, clusterToken }: HealthCheckOptions): Promise<HealthAnswer> {
  const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  try {
    return await new Promise<HealthAnswer>((resolve) => {
      client.makeUnaryRequest(
        CHECK.path,
        CHECK.requestSerialize,
        CHECK.responseDeserialize,
        { service: '' },
        clusterTokenMetadata(clusterToken)(),
        { deadline: Date.now() + deadlineMs },
        (error, response) => resolve({ failure: error?.code, status: response?.status }),
      );
    });
  } finally {
    client.close();
  }
}
