import type { LocalCluster } from '@pangalactic/testing';
import OpenAI from 'openai';

/** The official client, as a user would point it at the cluster. It must not hide failures by trying again. */
export function openaiClient(cluster: LocalCluster, apiKey = 'none'): OpenAI {
  return new OpenAI({ baseURL: cluster.url('gateway', '/v1'), apiKey, maxRetries: 0, timeout: 60_000 });
}

export interface Question {
  readonly messages: OpenAI.ChatCompletionMessageParam[];
  readonly temperature: number;
  readonly seed?: number;
  readonly maxTokens: number;
}

export interface Answer {
  readonly text: string;
  readonly finishReason: string | null;
  readonly completionTokens: number;
}

/** Streams one answer to its end. */
export async function ask(client: OpenAI, model: string, question: Question): Promise<Answer> {
  const stream = await client.chat.completions.create({
    model,
    messages: question.messages,
    temperature: question.temperature,
    seed: question.seed,
    max_tokens: question.maxTokens,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let finishReason: string | null = null;
  let completionTokens = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
  }
  return { text, finishReason, completionTokens };
}
