import { describe, expect, it } from 'vitest';
import { acquit, avoidedForMs, avoidedPaths, forget, remember, usedSuspects, type FaultMemory } from './fault-memory';

interface Blamed {
  readonly nodeId: string;
  readonly noticedBy?: string;
  readonly hadServed?: boolean;
  readonly at: number;
}

const memoryOf = (...faults: Blamed[]): FaultMemory =>
  faults.reduce<FaultMemory>(
    (memory, { nodeId, noticedBy, hadServed = true, at }) =>
      remember(memory, { stage: 0, nodeId, noticedBy, reason: 'lost' }, hadServed, at),
    new Map(),
  );
const SECOND = 1_000;

describe('the fault memory', () => {
  it.each<[string, Blamed[], number, Record<string, number>]>([
    ['a way that broke', [{ nodeId: 'b', noticedBy: 'a', at: 0 }], 0, { 'a,b': 30 }],
    ['a way, whoever noticed it', [{ nodeId: 'a', noticedBy: 'b', at: 0 }], 10, { 'a,b': 20 }],
    ['a way for half a minute', [{ nodeId: 'b', noticedBy: 'a', at: 0 }], 30, {}],
    ['not a node that fails once while it serves', [{ nodeId: 'b', noticedBy: 'b', at: 0 }], 1, {}],
    ['not a node of which nobody says who noticed its fault', [{ nodeId: 'b', at: 0 }], 1, {}],
    ['a node that cannot load', [{ nodeId: 'b', noticedBy: 'b', hadServed: false, at: 0 }], 1, { b: 29 }],
    [
      'a node that fails twice',
      [
        { nodeId: 'b', noticedBy: 'b', at: 0 },
        { nodeId: 'b', noticedBy: 'b', at: 100 },
      ],
      100,
      { b: 30 },
    ],
    [
      'what keeps failing, twice as long each time',
      [0, 30, 90].map((at) => ({ nodeId: 'b', noticedBy: 'a', at })),
      90,
      { 'a,b': 120 },
    ],
    [
      'nothing for longer than ten minutes',
      Array.from({ length: 20 }, () => ({ nodeId: 'b', noticedBy: 'a', at: 0 })),
      0,
      { 'a,b': 600 },
    ],
    [
      'each by itself',
      [
        { nodeId: 'b', noticedBy: 'a', at: 0 },
        { nodeId: 'c', noticedBy: 'a', at: 20 },
      ],
      25,
      { 'a,b': 5, 'a,c': 25 },
    ],
    [
      'as new what was quiet for ten minutes',
      [
        { nodeId: 'b', noticedBy: 'a', at: 0 },
        { nodeId: 'b', noticedBy: 'a', at: 600 },
      ],
      600,
      { 'a,b': 30 },
    ],
  ])('avoids %s', (_case, faults, now, expected) => {
    const memory = memoryOf(...faults.map((fault) => ({ ...fault, at: fault.at * SECOND })));
    const avoided = avoidedPaths(memory, now * SECOND).map((suspect) => [
      suspect.nodeIds.join(),
      avoidedForMs(suspect, now * SECOND) / SECOND,
    ]);
    expect(Object.fromEntries(avoided)).toEqual(expected);
  });

  it('forgets what is long ago, and remembers nothing twice', () => {
    const memory = memoryOf({ nodeId: 'b', noticedBy: 'a', at: 0 });
    expect(forget(memory, 599 * SECOND)).toBe(memory);
    expect(forget(memory, 600 * SECOND).size).toBe(0);
  });

  it('acquits the ways that a token went, also that from the tail to the head', () => {
    const memory = memoryOf(...['b', 'c', 'd'].map((nodeId) => ({ nodeId, noticedBy: 'a', at: 0 })), {
      nodeId: 'b',
      hadServed: false,
      at: 0,
    });
    const stages = ['a', 'b', 'c'].map((nodeId) => ({ nodeId, address: '', layers: undefined, memoryBytes: 0 }));
    const spec = { id: 'p', modelId: 'm', fingerprint: 'f', stages, contextLength: 1, maxSequences: 1 };
    expect([...acquit(memory, spec).keys()]).toEqual(['a,d', 'b']);
  });

  it.each([
    [['a'], []],
    [['a', 'b'], ['a,b']],
    [['a', 'c', 'b'], ['a,b']],
    [['c', 'a', 'd', 'b'], []],
    [['e', 'a'], ['e']],
  ])('finds what stages on %j would use of it', (nodeIds, expected) => {
    const memory = memoryOf({ nodeId: 'b', noticedBy: 'a', at: 0 }, { nodeId: 'e', hadServed: false, at: 0 });
    const used = usedSuspects(avoidedPaths(memory, 1), nodeIds);
    expect(used.map((suspect) => suspect.nodeIds.join())).toEqual(expected);
  });
});
