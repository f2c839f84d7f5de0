import { createHash, timingSafeEqual } from 'node:crypto';
import { Metadata, ServerInterceptingCall, ServerListenerBuilder, type ServerInterceptor } from '@grpc/grpc-js';
import { PangalacticError } from '@pangalactic/contracts';
import { toServiceError } from './errors';

const AUTHORIZATION = 'authorization';
/** Probes of kubelet carry no token. */
const OPEN_PATHS = '/grpc.health.v1.Health/';

/** Metadata of every call of a client. */
export function clusterTokenMetadata(clusterToken: string | undefined): Metadata {
  const metadata = new Metadata();
  if (clusterToken) metadata.set(AUTHORIZATION, `Bearer ${clusterToken}`);
  return metadata;
}

/** Refuses each call, of any shape, that does not carry the token, before its handler hears of it. */
export function clusterTokenInterceptor(clusterToken: string): ServerInterceptor {
  const expected = digest(`Bearer ${clusterToken}`);
  const accepts = (metadata: Metadata) => {
    const given = metadata.get(AUTHORIZATION)[0];
    return typeof given === 'string' && timingSafeEqual(digest(given), expected);
  };
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        if (method.path.startsWith(OPEN_PATHS)) return next();
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
          if (accepts(metadata)) proceed(metadata);
          else call.sendStatus(refusal(metadata));
        });
        next(listener.build());
      },
    });
}

function refusal(metadata: Metadata) {
  const found = metadata.get(AUTHORIZATION).length > 0 ? 'a wrong cluster token' : 'no cluster token';
  return toServiceError(
    new PangalacticError(
      'invalid_cluster_token',
      `the call carries ${found}: set PANGALACTIC_CLUSTER_TOKEN alike everywhere`,
    ),
  );
}

/** Equal lengths for the constant-time comparison. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
