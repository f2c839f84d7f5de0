import { Type } from 'protobufjs';

type PlainMessage = Record<string, unknown>;
type Fix = (message: PlainMessage) => void;

/**
 * protobufjs fills an absent message field with null where the generated types say undefined. Compiles, once per type,
 * the function that corrects a decoded object in place and visits only fields that can hold such a null.
 */
export function absentFieldsAsUndefined(type: Type): Fix {
  return compile(type, new Map());
}

function compile(type: Type, compiled: Map<Type, Fix>): Fix {
  const known = compiled.get(type);
  if (known) return known;
  const fixes: Fix[] = [];
  const fix: Fix = (message) => {
    for (const each of fixes) each(message);
  };
  compiled.set(type, fix);
  for (const field of type.fieldsArray) {
    const { name, repeated, resolvedType } = field.resolve();
    if (!(resolvedType instanceof Type)) continue;
    const nested = compile(resolvedType, compiled);
    if (!repeated) {
      fixes.push((message) => {
        if (message[name] === null) message[name] = undefined;
        else if (message[name] !== undefined) nested(message[name] as PlainMessage);
      });
    } else if (holdsMessages(resolvedType)) {
      fixes.push((message) => (message[name] as PlainMessage[]).forEach(nested));
    }
  }
  return fix;
}

function holdsMessages(type: Type): boolean {
  return type.fieldsArray.some((field) => field.resolve().resolvedType instanceof Type);
}
