export interface AuthOptions {
  /** Undefined: every request is admitted. */
  readonly apiKey: string | undefined;
  /** Per API key, or per client address where no key is asked for. 0: no limit. */
  readonly rateLimitPerMinute: number;
}

export const AUTH_OPTIONS = Symbol('AuthOptions');
