import { createRequire } from 'node:module';
import * as kubernetes from '@kubernetes/client-node/dist/gen/models/all.js';

/** Any object of the Kubernetes API, as YAML has it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
}

interface ModelClass {
  getAttributeTypeMap(): readonly { readonly baseName: string; readonly type: string }[];
}
type Validated = new (manifest: Manifest) => { validate(): void };

const models = kubernetes as unknown as Readonly<Record<string, ModelClass | undefined>>;
const load = createRequire(__filename);

/**
 * What the API server of the modelled version would refuse: kinds that are not served, unknown fields (client-node's
 * models), wrong types, missing fields and values outside an enumeration (kubernetes-models' schemas).
 */
export function schemaMistakes(manifest: Manifest): string[] {
  const { apiVersion, kind } = manifest;
  const version = apiVersion.split('/').at(-1)!;
  const type = `${version.replace(/^v/, 'V')}${kind}`;
  if (!models[type]) return [`${apiVersion} ${kind} is not served`];
  return [...unknownFields(type, manifest, kind), ...invalidValues(manifest)];
}

function unknownFields(type: string, value: unknown, path: string): string[] {
  if (value === null || value === undefined) return [];
  const item = /^Array<(.+)>$/.exec(type)?.[1];
  if (item) {
    if (!Array.isArray(value)) return [`${path} must be a list`];
    return value.flatMap((element, index) => unknownFields(item, element, `${path}[${index}]`));
  }
  const entry = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  const model = models[type];
  if (!entry && !model?.getAttributeTypeMap) return [];
  if (typeof value !== 'object' || Array.isArray(value)) return [`${path} must be an object`];
  const attributes = new Map(model?.getAttributeTypeMap().map(({ baseName, type }) => [baseName, type]));
  return Object.entries(value).flatMap(([field, child]) => {
    const childType = entry ?? attributes.get(field);
    return childType
      ? unknownFields(childType, child, `${path}.${field}`)
      : [`${path}.${field} is no field of ${type}`];
  });
}

function invalidValues(manifest: Manifest): string[] {
  const { [manifest.kind]: Model } = load(`kubernetes-models/${manifest.apiVersion}`) as Record<string, Validated>;
  if (!Model) return [`kubernetes-models has no ${manifest.apiVersion} ${manifest.kind}`];
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [String(error)];
  }
}
