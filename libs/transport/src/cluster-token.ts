import { createHash, timingSafeEqual } from 'node:crypto';
import { Metadata, ServerInterceptingCall, ServerListenerBuilder, type ServerInterceptor } from '@grpc/grpc-js';
import { PangalacticError } from '@pangalactic/contracts';
import { toServiceError } from './errors';

const AUTHORIZATION = 'authorization';

/**
 * A token, or a source that is asked at every call, so that tokens can be replaced while processes run: the first one is
 * sent, all of them are accepted. An empty token, like undefined, is an open cluster.
 */
export type ClusterToken = string | (() => readonly string[]);

/** Metadata of every call of a client, as it is at the time of the call. */
export function clusterTokenMetadata(clusterToken: ClusterToken | undefined): () => Metadata {
  let metadata = new Metadata();
  let sent: string | undefined;
  return () => {
    const [token] = tokensOf(clusterToken ?? '');
    if (token && token !== sent) {
      metadata = new Metadata();
      metadata.set(AUTHORIZATION, `Bearer ${token}`);
      sent = token;
    }
    return metadata;
  };
}

/** Refuses each call, of any shape and service, that carries none of the tokens, before its handler hears of it. */
export function clusterTokenInterceptor(clusterToken: ClusterToken): ServerInterceptor {
  const accepts = (metadata: Metadata) => {
    const given = digest(String(metadata.get(AUTHORIZATION)[0] ?? ''));
    // Every token is compared, so that the time tells nothing about which one it was.
    const matches = tokensOf(clusterToken).map((token) => timingSafeEqual(given, digest(`Bearer ${token}`)));
    return matches.includes(true);
  };
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, proceed) => {
          if (accepts(metadata)) proceed(metadata);
          else call.sendStatus(refusal(metadata));
        });
        next(listener.build());
      },
    });
}

function tokensOf(clusterToken: ClusterToken): readonly string[] {
  return typeof clusterToken === 'string' ? [clusterToken] : clusterToken();
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
