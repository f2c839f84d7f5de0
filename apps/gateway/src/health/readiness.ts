/** A model whose last pipeline broke is usually back within seconds: meanwhile requests wait in the queue. */
export const READY_GRACE_MS = 5_000;

export interface RoutesSeen {
  /** Undefined until the hub has sent the first one. Whether the hub is there now does not matter. */
  readonly table: { readonly hasDeployments: boolean } | undefined;
  /** Milliseconds since some pipeline was ready, 0 while one is; undefined when none ever was. */
  readonly sinceLastReadyMs: number | undefined;
}

/** Why this gateway should get no traffic; null when it should. */
export function unreadyReason({ table, sinceLastReadyMs }: RoutesSeen): string | null {
  if (!table) return 'no route table yet: the hub has not answered';
  if (!table.hasDeployments) return null;
  if (sinceLastReadyMs !== undefined && sinceLastReadyMs <= READY_GRACE_MS) return null;
  return 'models are deployed, but no pipeline is ready';
}
