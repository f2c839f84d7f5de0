import { describe, expect, it } from 'vitest';
import { checkDeployment, type StagePin } from './deployment-spec';
import { deploymentSpec } from './simulated-cluster.fixture';

const pin = (nodeId: string, from: number, to: number): StagePin => ({ nodeId, layers: { from, to } });
const LAYERS = 6;

describe('checkDeployment', () => {
  it.each([
    ['defaults', {}],
    ['everything', { replicas: 3, stages: 2, contextLength: 2048, maxSequences: 4 }],
    ['pins of all layers', { stages: 2, pins: [pin('a', 0, 2), pin('b', 2, 6)] }],
    ['a stage per layer', { stages: 6 }],
  ])('accepts %s', (_case, changes) => {
    expect(() => checkDeployment(deploymentSpec(changes), LAYERS)).not.toThrow();
  });

  it.each([
    [{ replicas: -1 }, 'replicas -1: allowed: an integer from 0 to 64'],
    [{ replicas: 1.5 }, 'replicas 1.5: allowed: an integer from 0 to 64'],
    [{ stages: 7 }, '7 stages: allowed: one for each of its 6 layers at most'],
    [{ stages: NaN }, 'stages NaN: allowed: an integer from 0 to 1024'],
    [{ contextLength: 0 }, 'contextLength 0: allowed: an integer from 1 to 1048576'],
    [{ maxSequences: 2000 }, 'maxSequences 2000: allowed: an integer from 1 to 1024'],
    [{ pins: [pin('a', 0, 2), pin('b', 3, 6)] }, 'pin b=3-5: allowed: a range that starts at layer 2 and is not empty'],
    [{ pins: [pin('a', 0, 3), pin('b', 2, 6)] }, 'pin b=2-5: allowed: a range that starts at layer 3 and is not empty'],
    [{ pins: [pin('a', 0, 0)] }, 'pin a=0--1: allowed: a range that starts at layer 0 and is not empty'],
    [{ pins: [pin('a', 0, 2), pin('a', 2, 6)] }, 'two pins on a: allowed: one stage per node'],
    [{ pins: [pin('a', 0, 5)] }, 'pins cover 5 layers: allowed: exactly the 6 that it has'],
    [{ pins: [pin('a', 0, 7)] }, 'pins cover 7 layers: allowed: exactly the 6 that it has'],
    [
      { stages: 1, pins: [pin('a', 0, 3), pin('b', 3, 6)] },
      '1 stages and 2 pins: allowed: a pin for each stage, or no',
    ],
  ])('refuses %j', (changes, message) => {
    expect(() => checkDeployment(deploymentSpec(changes), LAYERS)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        message: expect.stringContaining(`deployment of nano: ${message}`) as string,
      }) as Error,
    );
  });

  it('leaves what depends on an unknown model to the planner', () => {
    expect(() => checkDeployment(deploymentSpec({ stages: 100, pins: [] }))).not.toThrow();
  });
});
