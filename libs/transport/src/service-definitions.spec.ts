import { describe, expect, it } from 'vitest';
import {
  PROTO_PACKAGE,
  ShardState,
  type GetClusterResponse,
  type HopRequest,
  type NodeSessionRequest,
} from '@pangalactic/contracts';
import { GRPC_SERVICES } from '@pangalactic/testing';
import { serviceDefinition, type AnyMethod, type ServiceName } from './service-definitions';

function codec(service: ServiceName, method: string): AnyMethod {
  const definition = serviceDefinition(service)[method];
  if (!definition) throw new Error(`no method ${method}`);
  return definition as AnyMethod;
}

const hopCodec = codec('NodeService', 'Hop');
const clusterCodec = codec('HubService', 'GetCluster');
const sessionCodec = codec('HubService', 'NodeSession');

const hop = (message: object) => hopCodec.requestDeserialize(hopCodec.requestSerialize(message)) as HopRequest;
const cluster = (message: object) =>
  clusterCodec.responseDeserialize(clusterCodec.responseSerialize(message)) as GetClusterResponse;

describe('the codec', () => {
  it('knows every service of the proto files', () => {
    const proto = [...GRPC_SERVICES.keys()].filter((name) => name.startsWith(`${PROTO_PACKAGE}.`));
    expect(proto).toEqual(['pangalactic.v1.HubService', 'pangalactic.v1.NodeService']);
  });

  it('knows every method with its shape', () => {
    const shapes = (name: ServiceName) =>
      Object.values(serviceDefinition(name)).map(({ path, requestStream, responseStream }) => [
        path,
        requestStream,
        responseStream,
      ]);
    expect(shapes('HubService')).toEqual([
      ['/pangalactic.v1.HubService/NodeSession', true, true],
      ['/pangalactic.v1.HubService/WatchRoutes', false, true],
      ['/pangalactic.v1.HubService/GetCluster', false, false],
      ['/pangalactic.v1.HubService/SetNodeDrained', false, false],
      ['/pangalactic.v1.HubService/ExplainPlan', false, false],
      ['/pangalactic.v1.HubService/LeasePermits', false, false],
      ['/pangalactic.v1.HubService/ListModels', false, false],
      ['/pangalactic.v1.HubService/LoadModel', false, false],
      ['/pangalactic.v1.HubService/UnloadModel', false, false],
    ]);
    expect(shapes('NodeService')).toEqual([
      ['/pangalactic.v1.NodeService/Generate', false, true],
      ['/pangalactic.v1.NodeService/ReadModelHeader', false, true],
      ['/pangalactic.v1.NodeService/Hop', true, true],
      ['/pangalactic.v1.NodeService/Results', false, true],
    ]);
  });

  it('fills in what the wire leaves out, in the shape of the generated types', () => {
    expect(cluster({})).toStrictEqual({ clusterId: '', term: 0, nodes: [], pipelines: [], deployments: [] });
    expect(cluster({ pipelines: [{ id: 'ignored' }] }).pipelines).toStrictEqual([
      { pipeline: undefined, state: '', reason: '', stageTimes: [] },
    ]);
    expect(
      cluster({ pipelines: [{ pipeline: { stages: [{ nodeId: 'a' }] } }] }).pipelines[0]?.pipeline?.stages,
    ).toStrictEqual([{ nodeId: 'a', address: '', layers: undefined, memoryBytes: 0 }]);
  });

  it('carries enums, 64-bit counts and nested messages inside a oneof', () => {
    const message: NodeSessionRequest = {
      shardStatus: {
        pipelineId: 'p',
        state: ShardState.SHARD_STATE_READY,
        progress: 0.5,
        fault: undefined,
        memoryBytes: Number.MAX_SAFE_INTEGER,
      },
    };
    expect(sessionCodec.requestDeserialize(sessionCodec.requestSerialize(message))).toStrictEqual(message);
    expect(hop({ start: { slot: 1 } }).start).toMatchObject({ slot: 1, sampling: undefined, promptIds: [] });
  });

  it('leaves absent members of a oneof out, and hands tensors over without a copy', () => {
    const hidden = Buffer.from(Float32Array.from({ length: 4_096 }, (_, index) => index).buffer);
    const serialized = hopCodec.requestSerialize({
      number: 7,
      step: { step: 7, rows: [], hidden },
    });
    const decoded = hopCodec.requestDeserialize(serialized) as HopRequest;
    expect(Object.keys(decoded).sort()).toEqual(['number', 'step']);
    expect(decoded.step?.hidden.equals(hidden)).toBe(true);
    expect(decoded.step?.hidden.buffer).toBe(serialized.buffer);
  });

  it('refuses bytes that are no message', () => {
    expect(() => hopCodec.requestDeserialize(Buffer.from([0x08, 0xff]))).toThrow();
    expect(() => hopCodec.requestDeserialize(Buffer.from('garbage that is no protobuf'))).toThrow();
  });
});
