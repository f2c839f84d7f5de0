import { Client, credentials, Metadata, status as Status, type MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { PROTO_FILES, protoRoot } from '@pangalactic/contracts';
import { service as healthService } from 'grpc-health-check';

type Method = MethodDefinition<unknown, unknown>;

/** Every service of the proto files, whether or not any code knows of it, and the standard health service. */
export const GRPC_SERVICES: ReadonlyMap<string, readonly Method[]> = new Map([
  ...Object.entries(loadSync([...PROTO_FILES], { includeDirs: [protoRoot()] }))
    .filter(([, definition]) => !('format' in definition))
    .map(([name, methods]) => [name, Object.values(methods) as Method[]] as const),
  ['grpc.health.v1.Health', Object.values(healthService) as Method[]],
]);

/** How a call ended: its gRPC status, our error code if it carries one. */
export interface RawAnswer {
  readonly path: string;
  readonly status: keyof typeof Status | 'none in time';
  readonly code: string | undefined;
}

const PATIENCE_MS = 2_000;

/**
 * Calls every method of the services with an empty message, as a client that knows nothing of ours.
 * @param authorization of each call; undefined sends none
 */
export async function callEveryMethod(
  address: string,
  services: readonly string[],
  authorization: string | undefined,
): Promise<RawAnswer[]> {
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set('authorization', authorization);
  const methods = services.flatMap((name) => GRPC_SERVICES.get(name) ?? []);
  try {
    return await Promise.all(methods.map((method) => callMethod(client, method, metadata)));
  } finally {
    client.close();
  }
}

function callMethod(client: Client, { path, requestStream }: Method, metadata: Metadata): Promise<RawAnswer> {
  const bytes = (value: Buffer) => value;
  // Whatever its shape: a bidirectional call may send one message and get one answer.
  const call = client.makeBidiStreamRequest(path, bytes, bytes, metadata);
  call.write(Buffer.alloc(0));
  if (!requestStream) call.end();
  return new Promise<RawAnswer>((resolve) => {
    // A call that is let in may go on for ever; its first message, or patience, tells as much.
    const admitted = () => {
      resolve({ path, status: 'none in time', code: undefined });
      call.cancel();
    };
    const timer = setTimeout(admitted, PATIENCE_MS);
    call.on('data', admitted);
    call.on('error', () => undefined);
    call.on('status', ({ code, metadata: trailer }) => {
      clearTimeout(timer);
      const status = Status[code] as keyof typeof Status;
      resolve({ path, status, code: trailer.get('pangalactic-error-code')[0]?.toString() });
    });
  });
}
