import { corrupt, describeValue } from './errors';
import type { GgufValue } from './gguf-value';

/** Counts and sizes travel as uint32 on the wire. */
const MAX_COUNT = 2 ** 32 - 1;

/** Typed access to GGUF metadata. An absent key is undefined; a value of another type is `corrupt_model_file`. */
export class MetadataReader {
  constructor(private readonly metadata: ReadonlyMap<string, GgufValue>) {}

  string(key: string): string | undefined {
    return this.read(key, 'a text', (value) => typeof value === 'string');
  }

  boolean(key: string): boolean | undefined {
    return this.read(key, 'true or false', (value) => typeof value === 'boolean');
  }

  number(key: string): number | undefined {
    return this.read(key, 'a finite number', (value) => Number.isFinite(value) && typeof value === 'number');
  }

  positive(key: string): number | undefined {
    return this.read(key, 'a number above 0', (value) => typeof value === 'number' && value > 0 && value < Infinity);
  }

  count(key: string): number | undefined {
    return this.read(
      key,
      `a whole number from 1 to ${MAX_COUNT}`,
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_COUNT,
    );
  }

  strings(key: string): readonly string[] | undefined {
    return this.read(
      key,
      'a list of texts',
      (value) => Array.isArray(value) && value.every((element) => typeof element === 'string'),
    );
  }

  private read<T extends GgufValue>(key: string, allowed: string, fits: (value: GgufValue) => boolean): T | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    if (!fits(value)) throw corrupt(`${key} is ${describeValue(value)}: allowed: ${allowed}`);
    return value as T;
  }
}

/** For keys without which the file is no model. */
export function required<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw corrupt(`${key} is missing`);
  return value;
}
