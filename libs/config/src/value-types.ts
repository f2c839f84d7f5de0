import { resolve } from 'node:path';
import { z } from 'zod';
import { isWildcard, parseAddress } from './address';
import type { Address } from './address';

/** How the text of a variable becomes a value, and what an error message says is allowed. */
export interface ValueType<T> {
  readonly schema: z.ZodType<T, string>;
  readonly allowed: string;
  /** Never printed. */
  readonly secret?: true;
}

/** A schema from a function that answers undefined for text it does not accept. */
function parsedBy<T>(parse: (text: string) => T | undefined): z.ZodType<T, string> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: 'not allowed' });
    return z.NEVER;
  });
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export function integer({ min, max }: Range): ValueType<number> {
  const schema = z.string().regex(/^\d{1,15}$/);
  return {
    schema: schema.transform(Number).pipe(z.number().min(min).max(max)),
    allowed: `an integer from ${min} to ${max}`,
  };
}

/** Decimal notation only: `1e3`, `0x10`, `Infinity` and a sign are refused. */
export function decimal({ min, max }: Range): ValueType<number> {
  const schema = z.string().regex(/^(\d{1,15}(\.\d{0,15})?|\.\d{1,15})$/);
  return {
    schema: schema.transform(Number).pipe(z.number().min(min).max(max)),
    allowed: `a number from ${min} to ${max}`,
  };
}

/** Seconds in the environment, milliseconds in the configuration. */
export function seconds(range: Range): ValueType<number> {
  const { schema, allowed } = decimal(range);
  return { schema: schema.transform((value) => Math.round(value * 1000)), allowed: `${allowed} (seconds)` };
}

/** Gigabytes as GPU vendors count them (2^30 bytes) in the environment, bytes in the configuration. */
export function gigabytes(range: Range): ValueType<number> {
  const { schema, allowed } = decimal(range);
  return { schema: schema.transform((value) => Math.round(value * 1024 ** 3)), allowed: `${allowed} (gigabytes)` };
}

export const boolean: ValueType<boolean> = {
  schema: z.enum(['true', 'false']).transform((text) => text === 'true'),
  allowed: 'true, false',
};

export function oneOf<const Values extends readonly string[]>(...values: Values): ValueType<Values[number]> {
  return { schema: z.string().pipe(z.enum(values)), allowed: values.join(', ') };
}

export const listenAddress: ValueType<Address> = {
  schema: parsedBy(parseAddress),
  allowed: 'host:port or [IPv6]:port with a port from 1 to 65535',
};

export const dialAddress: ValueType<Address> = {
  schema: listenAddress.schema.refine((address) => !isWildcard(address)),
  allowed: `${listenAddress.allowed}, not a wildcard such as 0.0.0.0`,
};

/** Of the hubs of one cluster. */
export const dialAddresses: ValueType<readonly Address[]> = {
  schema: commaList(z.string()).pipe(z.array(dialAddress.schema)),
  allowed: `${listenAddress.allowed}, not a wildcard such as 0.0.0.0; several separated by commas`,
};

/** Relative paths are taken from the working directory, once, so that a later message names the whole path. */
export const path: ValueType<string> = {
  schema: z
    .string()
    .max(4096)
    .transform((text) => resolve(text)),
  allowed: 'a path of at most 4096 characters',
};

/** Travels in an HTTP header and in gRPC metadata, hence visible ASCII: a pasted line break would never match. */
export const secret: ValueType<string> = {
  schema: z.string().regex(/^[\x21-\x7e]{1,1024}$/),
  allowed: '1 to 1024 visible ASCII characters without spaces',
  secret: true,
};

const MAXIMUM_SECRETS = 100;
const secretItem = z.string().regex(/^[\x21-\x2b\x2d-\x7e]{1,1024}$/);

/** Several, so that one can take the place of another without a gap. */
export const secrets: ValueType<readonly string[]> = {
  schema: commaList(secretItem).refine((list) => list.length <= MAXIMUM_SECRETS),
  allowed: `up to ${MAXIMUM_SECRETS} secrets separated by commas, each 1 to 1024 visible ASCII characters without spaces`,
  secret: true,
};

export const word: ValueType<string> = {
  schema: secret.schema,
  allowed: secret.allowed,
};

export const etcdPrefix: ValueType<string> = {
  schema: z.string().regex(/^[\x21-\x7e]{0,127}\/$/),
  allowed: 'up to 128 visible ASCII characters without spaces, the last one a slash',
};

export const nodeId: ValueType<string> = {
  schema: z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/),
  allowed: '1 to 253 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends',
};

export const modelIds: ValueType<readonly string[]> = {
  schema: commaList(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/)),
  allowed: 'model ids separated by commas (each 1 to 128 letters, digits, dots, hyphens and underscores)',
};

export const httpUrls: ValueType<readonly string[]> = {
  schema: commaList(parsedBy(originOf)).refine(
    (urls) => new Set(urls.map((url) => url.slice(0, url.indexOf(':')))).size === 1,
  ),
  allowed: 'URLs separated by commas, all http://host:port or all https://host:port and nothing more',
};

/** Of a server under whose path others lie. */
export const httpUrl: ValueType<string> = {
  schema: parsedBy((text) => {
    const url = httpUrlOf(text);
    if (!url || url.username || url.password || url.search || url.hash) return undefined;
    return url.href.replace(/\/+$/, '');
  }),
  allowed: 'a URL http(s)://host:port/path without credentials, query or fragment',
};

/** A proxy may ask for a user and a password. */
export const proxyUrl: ValueType<string> = {
  schema: parsedBy((text) => httpUrlOf(text.includes('://') ? text : `http://${text}`)?.href),
  allowed: 'a URL http(s)://user:password@host:port of a proxy',
  secret: true,
};

export const hostNames: ValueType<string> = {
  schema: z.string().regex(/^[\x21-\x7e\s]{1,4096}$/),
  allowed: 'host names separated by commas, each with :port if it shall count for that one alone, or *',
};

function commaList(item: z.ZodType<string, string>): z.ZodType<readonly string[], string> {
  return z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(item))
    .transform((items) => [...new Set(items)]);
}

function httpUrlOf(text: string): URL | undefined {
  // The URL parser forgives much ("http:etcd"), hence the prefix.
  return /^https?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined;
}

function originOf(text: string): string | undefined {
  const url = httpUrlOf(text);
  if (!url) return undefined;
  const { href, origin } = url;
  // `origin` drops credentials, path and query: comparing refuses a URL that has any of them.
  return href === `${origin}/` ? origin : undefined;
}
