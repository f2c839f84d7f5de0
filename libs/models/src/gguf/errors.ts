import { PangalacticError } from '@pangalactic/contracts';
import type { GgufValue } from './gguf-value';

export function corrupt(message: string): PangalacticError {
  return new PangalacticError('corrupt_model_file', message);
}

/** Text out of a file for an error message: short and on one line, whatever the file says. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

export function describeValue(value: GgufValue): string {
  if (typeof value === 'object') return `a list of ${value.length}`;
  return typeof value === 'string' ? quote(value) : String(value);
}

/** Makes every error of `work` a PangalacticError whose message starts with the file. */
export async function namingFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof PangalacticError ? error.code : 'corrupt_model_file';
    const message = error instanceof Error ? error.message : String(error);
    throw new PangalacticError(code, `${path}: ${message}`, { cause: error });
  }
}
