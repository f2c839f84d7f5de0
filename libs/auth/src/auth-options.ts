export interface AuthOptions {
  /** Asked at each request: every one of the keys is accepted. Undefined: every request is admitted. */
  readonly apiKey: (() => readonly string[]) | undefined;
  /** Per API key, or per client address where no key is asked for. 0: no limit. */
  readonly rateLimitPerMinute: number;
}

export const AUTH_OPTIONS = Symbol('AuthOptions');
