import { startCluster, type TestCluster } from '@pangalactic/testing';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Float32 weights: however steps are batched, logits differ too little to change a draw. */
const MODEL = 'pangalactic-nano-f16';
const CHAT = { model: MODEL, messages: [{ role: 'user' as const, content: 'Hello' }], max_tokens: 12 };

let cluster: TestCluster;
let client: OpenAI;
beforeAll(async () => {
  cluster = await startCluster({ nodes: 2, model: MODEL });
  client = new OpenAI({ baseURL: cluster.url('gateway', '/v1'), apiKey: 'none', maxRetries: 0 });
});
afterAll(() => cluster.stop());

/** Options of ours beside OpenAI's. */
const complete = (options: object) => client.completions.create({ model: MODEL, prompt: 'Hello', ...options });

describe('sampling through gateway, head and tail', () => {
  it('reports log probabilities of the model whatever the temperature', async () => {
    const options = { max_tokens: 8, logprobs: 5 };
    const greedy = (await complete({ ...options, temperature: 0 })).choices[0]!;
    const columns = greedy.logprobs!;
    expect(columns.tokens!.join('')).toBe(greedy.text);
    columns.top_logprobs!.forEach((top, index) => {
      expect(Math.max(...Object.values(top))).toBe(columns.token_logprobs![index]);
    });
    const [first] = (await complete({ ...options, temperature: 2, seed: 1 })).choices[0]!.logprobs!.top_logprobs!;
    for (const [token, logprob] of Object.entries(columns.top_logprobs![0]!)) {
      expect(first![token]).toBeCloseTo(logprob, 3);
    }
  });

  it('obeys a bias, and a penalty for what is there already', async () => {
    const tokens = async (options: object) => {
      const biased = { temperature: 0, max_tokens: 6, logit_bias: { 300: 100, 301: 50 }, logprobs: 0 };
      return (await complete({ ...biased, ...options })).choices[0]!.logprobs!.tokens!;
    };
    const forced = await tokens({});
    expect(forced).toEqual(Array(6).fill(forced[0]));
    const [first, second] = await tokens({ repetition_penalty: 10 });
    expect(first).toBe(forced[0]);
    expect([second]).toEqual(await tokens({ max_tokens: 1, logit_bias: { 301: 100 } }));
  });

  it('gives eight choices, each with draws of its own, the same again for the same seed', async () => {
    const ask = async () => {
      const stream = client.chat.completions.stream({ ...CHAT, n: 8, seed: 5, temperature: 2 });
      return (await stream.finalChatCompletion()).choices.map(({ message }) => message.content);
    };
    const texts = await ask();
    expect(texts).toHaveLength(8);
    expect(new Set(texts).size).toBeGreaterThan(4);
    expect(await ask()).toEqual(texts);
    const [alone] = (await client.chat.completions.create({ ...CHAT, seed: 5, temperature: 2 })).choices;
    expect(alone!.message.content).toBe(texts[0]);
  });

  it('takes the most likely token alone for top_k 1 and min_p 1', async () => {
    const texts = [];
    for (const options of [{ temperature: 0 }, { top_k: 1 }, { min_p: 1 }, { top_p: 0.0001 }]) {
      texts.push((await complete({ temperature: 2, max_tokens: 10, ...options })).choices[0]!.text);
    }
    expect(new Set(texts).size).toBe(1);
  });
});
