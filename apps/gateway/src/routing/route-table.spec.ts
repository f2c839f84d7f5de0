import type { PipelineSpec } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { RouteTable } from './route-table';

const stage = (address: string) => ({ nodeId: address, address, layers: { from: 0, to: 1 }, memoryBytes: 1 });
const pipeline = (id: string, modelId: string, addresses: string[]): PipelineSpec => ({
  id,
  modelId,
  fingerprint: `weights of ${modelId}`,
  stages: addresses.map(stage),
  contextLength: 512,
  maxSequences: 8,
});

const summary = (id: string, state: string, origin = 'OPERATOR') => ({ id, state, contextLength: 512, origin });

describe('RouteTable', () => {
  const table = RouteTable.fromMessage({
    routes: [
      { pipeline: pipeline('p1', 'nano', ['a:1', 'b:1']), readyAt: 10 },
      { pipeline: pipeline('p2', 'nano', ['c:1']), readyAt: 20 },
      { pipeline: pipeline('without stages', 'nano', []), readyAt: 30 },
      { pipeline: undefined, readyAt: 40 },
    ],
    models: [summary('nano', 'READY'), summary('still-loading', 'LOADING')],
  });

  it('keeps the routes that can be used', () => {
    expect(table.routesOf('nano').map((route) => route.pipelineId)).toEqual(['p1', 'p2']);
    expect(table.routesOf('nano')[0]).toMatchObject({ addresses: ['a:1', 'b:1'], fingerprint: 'weights of nano' });
  });

  it('tells a model that is still loading from one that does not exist', () => {
    expect([table.knows('nano'), table.knows('still-loading'), table.knows('gpt-4')]).toEqual([true, true, false]);
    expect(table.readyModels).toEqual(['nano']);
  });

  it.each([
    ['CONFIGURATION', true],
    ['OPERATOR', true],
    ['REQUEST', false],
    ['', false],
  ])('counts a model of origin %j as meant to run: %s', (origin, counts) => {
    expect(new RouteTable([], [summary('nano', 'WAITING', origin)]).hasDeployments).toBe(counts);
  });

  it('knows which nodes are in use', () => {
    expect(['a:1', 'b:1', 'c:1', 'd:1'].filter((address) => table.usesAddress(address))).toEqual(['a:1', 'b:1', 'c:1']);
  });
});
