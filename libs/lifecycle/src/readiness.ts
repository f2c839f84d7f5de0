/** Why the process is not ready, or null. */
export interface ReadinessCheck {
  /** Key in the report, unique in the process. */
  readonly name: string;
  check(): string | null | Promise<string | null>;
}

/** Provide an array of ReadinessCheck under this token, in any module. */
export const READINESS_CHECKS = Symbol('ReadinessChecks');
