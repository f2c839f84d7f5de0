import { EventEmitter } from 'node:events';
import type { ModelView } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { createLoadDisplay } from './load-display';
import { loadRequest } from './load-request';
import { modelReport } from './model-report';
import { modelTable, modelText } from './model-tables';

const MODEL: ModelView = {
  id: 'tinyllama-1.1b',
  state: 'LOADING',
  wantedState: 'LOADING',
  progress: 0.428,
  etaSeconds: 7.1,
  waitingFor: 'pipeline t-1-1, LOADING: node-1 LOADING 43 %',
  contextLength: 2048,
  origin: 'REQUEST',
  versions: [
    {
      ...{ fingerprint: 'abcdef0123456789', architecture: 'llama', layers: 22, contextLength: 2048 },
      ...{ fileBytes: 668_788_096, nodeIds: ['node-1', 'node-2'] },
    },
  ],
  pipelines: [
    {
      pipeline: {
        ...{ id: 't-1-1', modelId: 'tinyllama-1.1b', fingerprint: 'abcdef0123456789' },
        ...{ contextLength: 2048, maxSequences: 8 },
        stages: [{ nodeId: 'node-1', address: 'node-1:7200', layers: { from: 0, to: 22 }, memoryBytes: 1e9 }],
      },
      state: 'LOADING',
      reason: '',
      stageTimes: [],
    },
  ],
};
const report = modelReport(MODEL);

describe('model list', () => {
  it('shows state, size, layers, context, nodes and pipelines', () => {
    expect(modelTable([report])).toMatch(
      /tinyllama-1\.1b │ LOADING 42 %, 8 s left │ 638 MiB │ 22 +│ 2048 +│ node-1, node-2 │ t-1-1 LOADING/,
    );
    expect(modelTable([])).toBe('no node holds a model');
  });
});

describe('model show', () => {
  it('says who wants it, what it waits for and where it runs', () => {
    const text = modelText(report);
    expect(text).toContain('tinyllama-1.1b: LOADING 42 %, 8 s left, wanted by a client\nwaits for pipeline t-1-1');
    expect(text).toMatch(/t-1-1 +│ LOADING │ 0 of 8 +│ 2048 +│ node-1 \[0, 22\)/);
  });

  it('is the same in JSON, with stable names', () => {
    expect(report).toMatchObject({
      ...{ model: 'tinyllama-1.1b', state: 'LOADING', eta_seconds: 7.1, wanted_by: 'REQUEST', context_length: 2048 },
      versions: [{ layers: 22, file_bytes: 668_788_096, nodes: ['node-1', 'node-2'] }],
      pipelines: [{ pipeline: 't-1-1', reason: null, stages: [{ node: 'node-1', layers: [0, 22] }] }],
    });
    const idle = { ...MODEL, state: 'NOT_LOADED', origin: '', waitingFor: '', etaSeconds: undefined, pipelines: [] };
    expect(modelReport(idle)).toMatchObject({ eta_seconds: null, waiting_for: null, wanted_by: null, pipelines: [] });
  });
});

describe('model load', () => {
  it('asks for what its options say', () => {
    expect(loadRequest('m', {})).toEqual({ modelId: 'm', onRequest: false, pins: [] });
    expect(
      loadRequest('m', { stages: '2', replicas: '3', context: '512', sequences: '4', layers: ['a=0-11', 'b=c=12-21'] }),
    ).toEqual({
      ...{ modelId: 'm', onRequest: false, stages: 2, replicas: 3, contextLength: 512, maxSequences: 4 },
      pins: [
        { nodeId: 'a', layers: { from: 0, to: 12 } },
        { nodeId: 'b=c', layers: { from: 12, to: 22 } },
      ],
    });
  });

  it.each([
    [{ stages: 'two' }, '--stages two: allowed: a whole number'],
    [{ context: '-1' }, '--context -1: allowed: a whole number'],
    [{ layers: ['node-1'] }, '--layers node-1: allowed: node=first-last, such as node-1=0-11'],
    [{ layers: ['node-1=3'] }, '--layers node-1=3: allowed: node=first-last, such as node-1=0-11'],
  ])('refuses %j', (flags, message) => {
    expect(() => loadRequest('m', flags)).toThrow(message);
  });

  it('writes a line for what changed where there is no terminal', () => {
    const lines: string[] = [];
    const stream = Object.assign(new EventEmitter(), { write: (text: string) => lines.push(text) });
    const display = createLoadDisplay(stream as unknown as NodeJS.WriteStream);
    display.show({ ...report, state: 'WAITING', progress: 0, waiting_for: 'a larger node' });
    for (const progress of [0.42, 0.43, 0.51]) display.show({ ...report, progress, eta_seconds: null });
    display.show({ ...report, state: 'READY', progress: 1, waiting_for: null });
    display.end();
    expect(lines).toEqual([
      'tinyllama-1.1b: WAITING for a larger node\n',
      'tinyllama-1.1b: LOADING 42 %\n',
      'tinyllama-1.1b: LOADING 51 %\n',
      'tinyllama-1.1b: READY\n',
    ]);
  });
});
