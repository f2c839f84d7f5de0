import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { readGgufHeader } from '@pangalactic/models';
import { startCluster } from '@pangalactic/testing';
import { ChatTemplate, encodeChat, ModelTokenizer, runToEnd } from '@pangalactic/tokenizer';
import { connectNode } from '@pangalactic/transport';
import { describe, expect, it } from 'vitest';

const TOKENS = 64;
/** Each makes the model talk for more than TOKENS tokens. */
const STORIES = ['fox', 'dog', 'cat', 'star', 'bird', 'king', 'boat', 'girl', 'robot', 'tree'];

async function storyPrompts(): Promise<number[][]> {
  const { header } = await readGgufHeader(join(repositoryRoot(), 'models/pangalactic-nano.gguf'));
  const [tokenizer, template] = [ModelTokenizer.fromGguf(header), ChatTemplate.fromGguf(header)];
  return STORIES.map((subject) =>
    runToEnd(
      encodeChat(tokenizer, template, { messages: [{ role: 'user', content: `Tell me a story about a ${subject}.` }] }),
    ),
  );
}

interface Served {
  readonly layers: readonly (readonly [number, number])[];
  readonly completions: readonly number[][];
}

/** Greedy completions of each prompt from a cluster of node processes, asked for at the head itself. */
async function completionsOf(model: string, nodes: number, prompts: readonly number[][]): Promise<Served> {
  const cluster = await startCluster({ nodes, model });
  try {
    const { pipelines } = await cluster.view();
    const pipeline = pipelines.find(({ state }) => state === 'READY')!.pipeline!;
    const head = connectNode(pipeline.stages[0]!.address, { clusterToken: undefined });
    const completions: number[][] = [];
    for (const [index, promptIds] of prompts.entries()) {
      const stream = head.generate(
        {
          ...{ pipelineId: pipeline.id, attemptId: `parity-${index}`, promptIds, emittedIds: [], maxTokens: TOKENS },
          ...{ sampling: { temperature: 0, topP: 1 }, seed: 1, choiceIndex: 0 },
        },
        { deadlineMs: 30_000 },
      );
      const ids: number[] = [];
      for await (const { token } of stream) if (token) ids.push(token.id);
      completions.push(ids);
    }
    head.close();
    return { layers: pipeline.stages.map(({ layers }) => [layers!.from, layers!.to] as const), completions };
  } finally {
    await cluster.stop();
  }
}

describe('one node and three node processes', () => {
  it.each(['pangalactic-nano-f16', 'pangalactic-nano', 'pangalactic-nano-q4_0'])(
    'give the same tokens of %s',
    async (model) => {
      const prompts = await storyPrompts();
      const one = await completionsOf(model, 1, prompts);
      const three = await completionsOf(model, 3, prompts);
      expect(one.layers).toEqual([[0, 8]]);
      expect(three.layers).toHaveLength(3);
      expect(three.completions).toEqual(one.completions);
      expect(one.completions.filter((ids) => ids.length === TOKENS).length).toBeGreaterThanOrEqual(8);
    },
  );
});
