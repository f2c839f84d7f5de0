import { Client, credentials, Metadata, status as Status, type MethodDefinition } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { CLIENT_OPTIONS } from './channel-options';

const CHECK = service['Check'] as MethodDefinition<{ service: string }, { status: string }>;

/** What the transport says of a peer from which nothing came back. */
const SILENCE: ReadonlySet<Status> = new Set([Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED]);

interface HealthAnswer {
  readonly failure: Status | undefined;
  readonly status: string | undefined;
}

/**
 * Whether the process at that address takes work: it answers in time, and with SERVING. Asks the standard health service
 * (grpc.health.v1), which needs no cluster token. Never rejects.
 */
export async function isServing(address: string, deadlineMs: number): Promise<boolean> {
  const { status } = await checkHealth(address, deadlineMs);
  return status === 'SERVING';
}

/** Whether the process at that address runs: it answers in time, whatever it says. Never rejects. */
export async function isAnswering(address: string, deadlineMs: number): Promise<boolean> {
  const { failure } = await checkHealth(address, deadlineMs);
  return failure === undefined || !SILENCE.has(failure);
}

async function checkHealth(address: string, deadlineMs: number): Promise<HealthAnswer> {
  const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  try {
    return await new Promise<HealthAnswer>((resolve) => {
      client.makeUnaryRequest(
        CHECK.path,
        CHECK.requestSerialize,
        CHECK.responseDeserialize,
        { service: '' },
        new Metadata(),
        { deadline: Date.now() + deadlineMs },
        (error, response) => resolve({ failure: error?.code, status: response?.status }),
      );
    });
  } finally {
    client.close();
  }
}
