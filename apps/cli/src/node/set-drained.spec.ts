import { describe, expect, it } from 'vitest';
import { CLUSTER } from '../cluster/cluster.fixture';
import { drainText } from './set-drained';

describe('drainText', () => {
  it.each([
    ['node-2', 'node-2 is drained: it gets no new shards and still holds its part of p-2 (READY)'],
    ['node-4', 'node-4 is drained: it gets no new shards and holds none'],
  ])('says what is left on %s', (nodeId, text) => expect(drainText(nodeId, CLUSTER)).toBe(text));
});
