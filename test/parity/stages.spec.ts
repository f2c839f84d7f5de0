import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { GgmlType, readGgufHeader } from '@pangalactic/models';
import { type RandomModelShape, startCluster, writeRandomModel } from '@pangalactic/testing';
import { ChatTemplate, encodeChat, ModelTokenizer, runToEnd } from '@pangalactic/tokenizer';
import { connectNode } from '@pangalactic/transport';
import { describe, expect, it } from 'vitest';
import { randomPrompts } from './compare-with-llama-cpp';
import { ForcedModel } from './forced-model';

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
async function completionsOf(
  model: string,
  nodes: number,
  prompts: readonly number[][],
  modelDirectory?: string,
): Promise<Served> {
  const cluster = await startCluster({ nodes, model, ...(modelDirectory !== undefined && { modelDirectory }) });
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

describe('three node processes', () => {
  it('give the tokens that a qwen3 with the tensor types of a Q4_K_M file gives in one process', async () => {
    const modelDirectory = await mkdtemp(join(tmpdir(), 'pangalactic-stages-'));
    const shape: RandomModelShape = {
      ...{
        architecture: 'qwen3',
        layers: 3,
        hiddenSize: 256,
        heads: 4,
        kvHeads: 2,
        headSize: 128,
        feedForwardSize: 512,
      },
      ...{ vocabSize: 512, contextLength: 256, tiedEmbeddings: true },
    };
    const sixBits = ['token_embd.weight', 'blk.0.attn_v.weight', 'blk.0.ffn_down.weight'];
    const type = (tensor: string) => (sixBits.includes(tensor) ? GgmlType.Q6_K : GgmlType.Q4_K);
    const path = join(modelDirectory, 'qwen3-random.gguf');
    await writeRandomModel(path, shape, { seed: 1, type });
    const prompts = randomPrompts(4, shape.vocabSize);
    const three = await completionsOf('qwen3-random', 3, prompts, modelDirectory);
    const one = await ForcedModel.open(path, join(modelDirectory, 'cache'));
    const completions: number[][] = [];
    for (const promptIds of prompts) completions.push(await one.greedy(promptIds, TOKENS));
    await one.close();
    await rm(modelDirectory, { recursive: true });
    expect(three.layers).toHaveLength(3);
    expect(three.completions).toEqual(completions);
  });
});
