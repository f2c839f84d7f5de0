import { PangalacticError } from '@pangalactic/contracts';
import { z } from 'zod';

/** Long enough to recognise the value, short enough for an error message. */
const MAX_SHOWN_CHARACTERS = 60;

/**
 * Checks a request body. Every message in our schemas is the phrase for what is allowed ("a number from 0 to 2"), so
 * that the error can name the field, the allowed values and the value received.
 * @throws PangalacticError `invalid_request` for the first field at fault
 */
export function validate<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  if (!isObject(body)) throw new PangalacticError('invalid_request', 'The request body must be a JSON object.');
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalidField(fieldPath(issue?.path ?? []), issue?.message ?? 'valid', valueAt(body, issue?.path ?? []));
}

export function invalidField(param: string, allowed: string, value: unknown): PangalacticError {
  const message =
    value === undefined
      ? `'${param}' is required: it must be ${allowed}.`
      : `'${param}' must be ${allowed}, not ${shorten(value)}.`;
  return new PangalacticError('invalid_request', message, { param });
}

export function unsupportedField(param: string, value: unknown, supported: string): PangalacticError {
  const message = `'${param}': ${shorten(value)} is not supported; supported: ${supported}.`;
  return new PangalacticError('unsupported_parameter', message, { param });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `["messages", 0, "content"]` becomes `messages[0].content`, as in OpenAI's `param`. */
function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`))
    .join('');
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], body);
}

function shorten(value: unknown): string {
  let text = '';
  for (const piece of jsonPieces(value)) {
    text += piece;
    if (text.length > MAX_SHOWN_CHARACTERS) return `${text.slice(0, MAX_SHOWN_CHARACTERS)}...`;
  }
  return text;
}

/** JSON, written only as far as it is read: values may be too large, or nested too deeply, for `JSON.stringify`. */
function* jsonPieces(value: unknown): Generator<string, void, undefined> {
  if (Array.isArray(value)) {
    yield '[';
    for (const [index, element] of value.entries()) {
      if (index > 0) yield ',';
      yield* jsonPieces(element);
    }
    yield ']';
  } else if (isObject(value)) {
    yield '{';
    for (const [index, [key, member]] of Object.entries(value).entries()) {
      yield `${index > 0 ? ',' : ''}${JSON.stringify(key.slice(0, MAX_SHOWN_CHARACTERS))}:`;
      yield* jsonPieces(member);
    }
    yield '}';
  } else {
    yield JSON.stringify(typeof value === 'string' ? value.slice(0, MAX_SHOWN_CHARACTERS) : value);
  }
}
