import type { ExplainPlanResponse } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { planReport, planText } from './plan-report';

const MIB = 1024 ** 2;
const stage = (nodeId: string, from: number, to: number, computeMs: number) => ({
  ...{ nodeId, layers: { from, to }, weightBytes: 5 * MIB, kvBytes: 2 * MIB, workspaceBytes: MIB },
  ...{ otherBytes: 0, memoryBytes: 64 * MIB, computeMs, hopMs: 0.5, measured: nodeId === 'a' },
});
const NOTHING = {
  ...{ stages: [], contextLength: 0, maxSequences: 0, bottleneck: 0, tokensPerSecond: 0, promptTokensPerSecond: 0 },
  ...{ replica: 1, replicas: 1, pinned: false, avoided: [] },
};
const RESPONSE: ExplainPlanResponse = {
  plans: [
    {
      ...{ modelId: 'nano', pipelineId: 'nano-1-1', reason: '', contextLength: 512, maxSequences: 8 },
      ...{ stages: [stage('a', 0, 3, 1), stage('b', 3, 8, 4)], bottleneck: 1 },
      ...{ tokensPerSecond: 166.66, busyTokensPerSecond: 250, promptTokensPerSecond: 2000.4 },
      ...{ replica: 2, replicas: 3, pinned: true },
      avoided: [{ nodeIds: ['a', 'd'], reason: 'the connection to it was lost', avoidedForMs: 29_500 }],
      leftOut: [{ nodeId: 'c', reason: 'it is FAILED' }],
      warnings: ['hops take long'],
    },
    {
      ...{ ...NOTHING, modelId: 'giant', pipelineId: '', reason: 'no room', busyTokensPerSecond: 0, warnings: [] },
      leftOut: [{ nodeId: 'a', reason: '1.0 MB of it are free' }],
    },
  ],
};

describe('planText', () => {
  it('explains with rate, bottleneck, ledger, nodes left out and warnings', () => {
    const text = planText(RESPONSE, true);
    expect(text).toContain(
      'nano (replica 2 of 3): pipeline nano-1-1: a [0, 3) -> b [3, 8) (pinned); 8 sequences of 512 tokens',
    );
    expect(text).toContain('predicted: 166.7 tokens/s of one sequence, 250.0 of many, 2000 of a prompt; bottleneck: b');
    expect(text).toMatch(
      / b +│ \[3, 8\) │ 5\.0 MiB +│ 2\.0 MiB │ 1\.0 MiB +│ 0 B +│ 64\.0 MiB +│ 4\.00 ms │ 0\.50 ms │ assumed/,
    );
    expect(text).toContain(
      'left out: c: it is FAILED\navoided for 30 s: a - d: the connection to it was lost\nwarning: hops take long',
    );
    expect(text).toContain('giant: no plan: no room\nleft out: a: 1.0 MB of it are free');
  });

  it('is short without --explain', () => {
    const text = planText(RESPONSE, false);
    expect(text.split('\n')).toHaveLength(5);
    expect(text).not.toContain('left out');
    expect(planText({ plans: [] }, false)).toBe('no model is deployed');
  });
});

describe('planReport', () => {
  it('names what it prints', () => {
    expect(planReport(RESPONSE)).toMatchObject([
      {
        model: 'nano',
        ...{ replica: 2, replicas: 3, pinned: true, prompt_tokens_per_second: 2000.4 },
        avoided: [{ nodes: ['a', 'd'], avoided_for_ms: 29_500 }],
        pipeline: 'nano-1-1',
        reason: null,
        bottleneck: 'b',
        stages: [{ node: 'a', layers: [0, 3] }, {}],
      },
      { model: 'giant', pipeline: null, reason: 'no room', bottleneck: null, left_out: [{ node: 'a' }] },
    ]);
  });
});
