import type { ValueType } from './value-types';

/** One environment variable of one process. */
export interface Variable<T> {
  readonly name: string;
  readonly type: ValueType<unknown>;
  readonly meaning: string;
  /** The default as the documentation prints it. */
  readonly defaultText: string;
  /** @throws Mistake */
  readonly read: (environment: Environment) => T;
}

/** Its message is the line for the operator. */
export class Mistake extends Error {
  override readonly name = 'Mistake';
  constructor(variable: Pick<Variable<unknown>, 'name' | 'type'>, text: string, allowed = variable.type.allowed) {
    super(`${variable.name}=${printable(text, variable.type)}: allowed: ${allowed}`);
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;
export type Variables = Readonly<Record<string, Variable<unknown>>>;
export type ConfigOf<V extends Variables> = {
  readonly [Key in keyof V]: V[Key] extends Variable<infer T> ? T : never;
};

/** A variable whose default is a value as one would write it in the environment. */
export function variable<T>(name: string, type: ValueType<T>, defaultText: string, meaning: string): Variable<T> {
  return derived(name, type, defaultText, meaning, () => type.schema.parse(defaultText));
}

/** A variable whose default is found out, or stays undefined for the process to decide; `defaultText` says how. */
export function derived<T, F = undefined>(
  name: string,
  type: ValueType<T>,
  defaultText: string,
  meaning: string,
  fallback: () => F = () => undefined as F,
): Variable<T | F> {
  const read = (environment: Environment) => {
    const text = environment[name] ?? '';
    return text === '' ? fallback() : parseText({ name, type }, text);
  };
  return { name, type, meaning, defaultText, read };
}

/** @throws Mistake */
export function parseText<T>(variable: { readonly name: string; readonly type: ValueType<T> }, text: string): T {
  const result = variable.type.schema.safeParse(text);
  if (!result.success) throw new Mistake(variable, text);
  return result.data;
}

/** The environment does not make a configuration. The message has one line per bad variable, for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Reads every variable, so that one start reports all mistakes. An empty value counts as unset. */
export function loadConfig<V extends Variables>(variables: V, environment: Environment): ConfigOf<V> {
  const mistakes: string[] = [];
  const entries = Object.entries(variables).map(([key, { read }]) => {
    try {
      return [key, read(environment)];
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      mistakes.push(error.message);
      return [key, undefined];
    }
  });
  if (mistakes.length > 0) throw new ConfigError(mistakes.join('\n'));
  return deepFreeze(Object.fromEntries(entries) as ConfigOf<V>);
}

const PRINTED_CHARACTERS = 120;

function printable(text: string, type: ValueType<unknown>): string {
  if (type.secret) return '***';
  const withoutCredentials = text.replace(/\/\/[^/,]*@/g, '//***@');
  const short =
    withoutCredentials.length > PRINTED_CHARACTERS
      ? `${withoutCredentials.slice(0, PRINTED_CHARACTERS)}...`
      : withoutCredentials;
  return JSON.stringify(short);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
