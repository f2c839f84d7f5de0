import { Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';
import { CLIENT_OPTIONS } from './channel-options';

const CHECK = service['Check'] as MethodDefinition<{ service: string }, { status: string }>;

/**
 * Whether the process at that address takes work: it answers in time, and with SERVING. Asks the standard health service
 * (grpc.health.v1), which needs no cluster token. Never rejects.
 */
export async function isServing(address: string, deadlineMs: number): Promise<boolean> {
  const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  try {
    return await new Promise<boolean>((resolve) => {
      client.makeUnaryRequest(
        CHECK.path,
        CHECK.requestSerialize,
        CHECK.responseDeserialize,
        { service: '' },
        new Metadata(),
        { deadline: Date.now() + deadlineMs },
        (error, response) => resolve(!error && response?.status === 'SERVING'),
      );
    });
  } finally {
    client.close();
  }
}
