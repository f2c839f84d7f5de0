import { secretFile } from './secret-source';
import type { SecretSource } from './secret-source';
import { path, secrets } from './value-types';
import { Mistake, parseText } from './variable';
import type { Environment, Variable } from './variable';

/** Secrets in a variable, or in a file that the variable `<name>_FILE` names. Undefined when neither is set. */
export interface SecretVariable extends Variable<SecretSource | undefined> {
  readonly file: Variable<string | undefined>;
}

const FILE_ALLOWED = `a readable file with ${secrets.allowed.replace('commas', 'commas or line breaks')}`;

export function secretVariable(name: string, defaultText: string, meaning: string): SecretVariable {
  const file = {
    name: `${name}_FILE`,
    type: { ...path, allowed: FILE_ALLOWED },
    defaultText: '(empty)',
    meaning: `file that holds it instead, read again when it changes`,
  };
  const readPath = (environment: Environment) => {
    const text = environment[file.name] ?? '';
    return text === '' ? undefined : parseText(file, text);
  };
  const read = (environment: Environment) => {
    const text = environment[name] ?? '';
    const filePath = readPath(environment);
    if (filePath === undefined) return text === '' ? undefined : always(parseText({ name, type: secrets }, text));
    if (text !== '') throw new Mistake(file, filePath, `one of ${name} and ${file.name}, not both`);
    try {
      return secretFile(filePath, parseLines);
    } catch (error) {
      throw new Mistake(file, filePath, `${FILE_ALLOWED} (${(error as Error).message})`);
    }
  };
  return { name, type: secrets, defaultText, meaning, read, file: { ...file, read: readPath } };
}

function always(values: readonly string[]): SecretSource {
  return () => values;
}

/** Secrets as files hold them: blank lines and the line break at the end mean nothing. */
function parseLines(text: string): readonly string[] {
  const list = text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  const result = secrets.schema.safeParse(list.join());
  if (!result.success) throw new Error(list.length === 0 ? 'it is empty' : 'it holds something else');
  return result.data;
}
