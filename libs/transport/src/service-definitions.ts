import { join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { PROTO_FILES, PROTO_PACKAGE, protoRoot } from '@pangalactic/contracts';
import { Root, type Method, type Type } from 'protobufjs';
import { absentFieldsAsUndefined } from './absent-fields';

export type ServiceName = 'HubService' | 'NodeService';

export type AnyMethod = MethodDefinition<unknown, unknown>;

let loadedRoot: Root | undefined;

function protoTypes(): Root {
  if (!loadedRoot) {
    loadedRoot = new Root();
    loadedRoot.resolvePath = (_origin, target) => join(protoRoot(), target);
    loadedRoot.loadSync([...PROTO_FILES]);
  }
  return loadedRoot;
}

/**
 * The service as grpc-js wants it. One codec for servers and clients: what it decodes has exactly the shape of the
 * generated types (uint64 as numbers, enums as numbers, defaults filled in, absent messages undefined).
 */
export function serviceDefinition(name: ServiceName): ServiceDefinition {
  const service = protoTypes().lookupService(`${PROTO_PACKAGE}.${name}`);
  return Object.fromEntries(
    service.methodsArray.map((method) => [method.name, methodDefinition(`${PROTO_PACKAGE}.${name}`, method)]),
  );
}

function methodDefinition(service: string, method: Method): AnyMethod {
  method.resolve();
  const { resolvedRequestType: request, resolvedResponseType: response } = method;
  if (!request || !response) throw new Error(`unresolved types of ${method.fullName}`);
  return {
    path: `/${service}/${method.name}`,
    originalName: method.name.charAt(0).toLowerCase() + method.name.slice(1),
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: encoder(request),
    requestDeserialize: decoder(request),
    responseSerialize: encoder(response),
    responseDeserialize: decoder(response),
  };
}

/** Encodes plain objects directly: the generated types leave nothing to convert, and tensors are copied only once. */
function encoder(type: Type): (message: unknown) => Buffer {
  return (message) => type.encode(message as Record<string, unknown>).finish() as Buffer;
}

function decoder(type: Type): (bytes: Buffer) => unknown {
  const fillAbsent = absentFieldsAsUndefined(type);
  return (bytes) => {
    const message = type.toObject(type.decode(bytes), { longs: Number, defaults: true });
    fillAbsent(message);
    return message;
  };
}
