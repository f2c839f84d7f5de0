import { isIP, isIPv4, isIPv6 } from 'node:net';

/** A TCP address. `host` of an IPv6 address carries no brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const BRACKETED = /^\[([^\]]+)\]:(\d{1,5})$/;
const PLAIN = /^([^:[\]]+):(\d{1,5})$/;
/** DNS labels; underscores too, because Docker Compose puts them into host names. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*$/;

/** `host:port`, `1.2.3.4:port` or `[::1]:port`; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  const bracketed = BRACKETED.exec(text);
  const match = bracketed ?? PLAIN.exec(text);
  const [, host, digits] = match ?? [];
  if (host === undefined || digits === undefined) return undefined;
  if (bracketed ? !isIPv6(host) : !isHost(host)) return undefined;
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Addresses that mean "every interface": fine to listen on, useless to dial. */
export function isWildcard({ host }: Address): boolean {
  return isIP(host) !== 0 && /^[0.:]+$/.test(host);
}

function isHost(host: string): boolean {
  // Digits and dots are an IPv4 address or a mistake (10.0.0.256), never a name.
  return /^[\d.]+$/.test(host) ? isIPv4(host) : HOST_NAME.test(host);
}
