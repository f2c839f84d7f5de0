import type { StepPhase } from '@pangalactic/inference';
import { describe, expect, it } from 'vitest';
import { StepDeadline, type StepLoad, stepLoad } from './step-deadline';

const OPTIONS = { floorMs: 100, initialMs: 1_000, margin: 10 };
const steps = (...inFlight: [StepPhase, number][]) =>
  inFlight.map(([phase, tokens]) => ({ phase, tokenIds: new Uint32Array(tokens) }));

describe('stepLoad', () => {
  it.each<[string, [StepPhase, number][], StepLoad]>([
    ['a chunk', [['prefill', 100]], { prefill: 114 }],
    ['a decode step', [['decode', 7]], { decode: 10 }],
    [
      'the largest of its kind',
      [
        ['decode', 4],
        ['decode', 7],
        ['decode', 1],
      ],
      { decode: 10 },
    ],
    [
      'the largest of each kind',
      [
        ['prefill', 2],
        ['prefill', 50],
        ['decode', 7],
      ],
      { prefill: 64, decode: 10 },
    ],
  ])('of what is in flight counts %s', (_case, inFlight, load) => {
    expect(stepLoad(steps(...inFlight))).toEqual(load);
  });
});

describe('StepDeadline', () => {
  const after = (...observed: [StepLoad, number][]) => {
    const deadline = new StepDeadline(OPTIONS);
    for (const [load, latencyMs] of observed) deadline.observe(load, latencyMs);
    return deadline;
  };

  it.each<[string, [StepLoad, number][], StepLoad, number]>([
    ['generous before the first measurement', [], { decode: 4 }, 1_000],
    ['generous before the first of each kind', [[{ decode: 4 }, 40]], { prefill: 20 }, 1_000],
    ['generous beside a kind that is unknown', [[{ decode: 4 }, 40]], { decode: 4, prefill: 20 }, 1_000],
    ['a multiple of the latency before', [[{ decode: 4 }, 40]], { decode: 4 }, 400],
    ['scaled with the tokens', [[{ decode: 4 }, 40]], { decode: 11 }, 1_100],
    ['never below the floor', [[{ decode: 10 }, 1]], { decode: 4 }, 100],
    [
      'the sum for steps that wait for both kinds',
      [
        [{ decode: 4 }, 40],
        [{ prefill: 64 }, 128],
      ],
      { decode: 4, prefill: 32 },
      1_040,
    ],
    [
      'never zero for ever',
      [
        [{ decode: 4 }, 0],
        [{ decode: 4 }, 400],
      ],
      { decode: 4 },
      800,
    ],
  ])('is %s', (_case, observed, load, expected) => {
    expect(after(...observed).allowedMs(load)).toBeCloseTo(expected);
  });

  it('follows steps that get slower', () => {
    const slower = Array.from({ length: 100 }, (_, index): [StepLoad, number] => [{ decode: 4 }, index < 50 ? 20 : 60]);
    expect(after(...slower).allowedMs({ decode: 4 })).toBeCloseTo(600, 0);
  });

  it('keeps the proportions of both kinds while both slow down together', () => {
    const alone: [StepLoad, number][] = [
      [{ decode: 4 }, 40],
      [{ prefill: 64 }, 360],
    ];
    const both = Array.from({ length: 50 }, (): [StepLoad, number] => [{ decode: 4, prefill: 64 }, 800]);
    const deadline = after(...alone, ...both);
    expect(deadline.allowedMs({ decode: 4 })).toBeCloseTo(800, 0);
    expect(deadline.allowedMs({ prefill: 64 })).toBeCloseTo(7_200, 0);
  });
});
