/** How long a gateway may use permits after it asked for them; the hub counts from when it answered, which is later. */
export const LEASE_MS = 3_000;
/** How soon a gateway tells what it used, and renews what it holds. */
export const REPORT_MS = 1_000;
/** For so long after a request a gateway keeps a permit for the caller's next one. */
export const KEEP_MS = 5_000;
/** How often a gateway asks at least, so that the hub knows how many there are. */
export const KEEPALIVE_MS = 2_000;
/** How soon a gateway asks again for a caller whose permits are used up: others may have given some back. */
export const RECHECK_MS = 1_000;
/** A caller is remembered for so long: a minute, and a lease that ran out before. */
export const REMEMBERED_MS = 60_000 + LEASE_MS;
/** A gateway that has been silent for so long is not counted. Longer than it takes one to reconnect (backoffs of 2 s). */
export const GATEWAY_SILENCE_MS = 8_000;
/** For so long a hub that begins to lead grants nothing: until then every gateway has told what it admitted lately. */
export const RECOVERY_MS = 8_000;
