import { ActivationFormat, type PipelineSpec } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { stageAssignment } from './stage-assignment';

const stage = (nodeId: string, from: number, to: number) => ({
  nodeId,
  address: `${nodeId}:7200`,
  layers: { from, to },
  memoryBytes: 0,
});
const spec: PipelineSpec = {
  id: 'p1',
  modelId: 'm',
  fingerprint: 'f',
  stages: [stage('a', 0, 2), stage('b', 2, 3), stage('c', 3, 6)],
  contextLength: 16,
  maxSequences: 2,
};

describe('stageAssignment', () => {
  it.each([
    ['a', 0, { isHead: true, isTail: false, layers: { from: 0, to: 2 } }],
    ['b', 1, { isHead: false, isTail: false, layers: { from: 2, to: 3 } }],
    ['c', 2, { isHead: false, isTail: true, layers: { from: 3, to: 6 } }],
  ])('finds the part of node %s', (nodeId, index, expected) => {
    expect(stageAssignment(spec, index, nodeId)).toMatchObject(expected);
  });

  it('makes the only stage head and tail', () => {
    const whole = { ...spec, stages: [stage('a', 0, 6)] };
    expect(stageAssignment(whole, 0, 'a')).toMatchObject({ isHead: true, isTail: true });
  });

  it.each<[string, PipelineSpec | undefined, number, RegExp]>([
    ['no pipeline', undefined, 0, /without a pipeline/],
    ['no id', { ...spec, id: '' }, 0, /without a pipeline/],
    ['a stage that is not there', spec, 3, /no stage 3: allowed are 0 to 2/],
    ["another node's stage", spec, 1, /belongs to b, not a/],
    ['no context', { ...spec, contextLength: 0 }, 0, /2 sequences of 0 tokens/],
    [
      'an unknown activation format',
      { ...spec, activationFormat: ActivationFormat.UNRECOGNIZED },
      0,
      /activation format -1: allowed are 1 \(f32\)/,
    ],
    ['no slots', { ...spec, maxSequences: 0 }, 0, /0 sequences of 16 tokens/],
    [
      'a hole between stages',
      { ...spec, stages: [stage('a', 0, 2), stage('b', 3, 4)] },
      0,
      /stage 1 .* expected from 2/,
    ],
    ['an empty stage', { ...spec, stages: [stage('a', 0, 0)] }, 0, /layers 0 to 0/],
    ['a first layer above 0', { ...spec, stages: [stage('a', 1, 2)] }, 0, /expected from 0/],
    ['a stage without layers', { ...spec, stages: [{ ...stage('a', 0, 1), layers: undefined }] }, 0, /undefined/],
  ])('refuses a command with %s', (_case, pipeline, index, message) => {
    expect(() => stageAssignment(pipeline, index, 'a')).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) as string }),
    );
  });
});
