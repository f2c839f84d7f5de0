import { CommandError } from '../command-error';
import { serverSentEvents } from './server-sent-events';

const MAX_TOKENS = 128;

/** The part of OpenAI's chat.completion.chunk that the demo reads. */
interface ChatChunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

export interface ChatRequest {
  readonly gatewayUrl: string;
  readonly model: string;
  readonly prompt: string;
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
}

export interface ChatAnswer {
  readonly text: string;
  readonly completionTokens: number;
  /** From sending the request to the first piece of text, or to the end of an answer without any. */
  readonly timeToFirstTokenMs: number;
  /** Of the tokens after the first one; 0 when there is none. */
  readonly tokensPerSecond: number;
}

/** Asks once, greedily, over the OpenAI API as any client would. */
export async function chat({ gatewayUrl, model, prompt, signal, onText }: ChatRequest): Promise<ChatAnswer> {
  const sentAt = performance.now();
  const response = await fetch(`${gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: prompt }],
      temperature: 0,
      max_tokens: MAX_TOKENS,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (!response.ok || !response.body) throw new CommandError(`the gateway answered ${await describe(response)}`);

  let text = '';
  let firstAt = 0;
  let lastAt = 0;
  let completionTokens = 0;
  for await (const data of serverSentEvents(response.body)) {
    if (data === '[DONE]') {
      const decodeSeconds = (lastAt - firstAt) / 1000;
      return {
        text,
        completionTokens,
        timeToFirstTokenMs: firstAt - sentAt,
        tokensPerSecond: completionTokens > 1 && decodeSeconds > 0 ? (completionTokens - 1) / decodeSeconds : 0,
      };
    }
    const chunk = JSON.parse(data) as ChatChunk;
    if (chunk.error) throw new CommandError(`the answer broke off: ${chunk.error.message}`);
    completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    const [choice] = chunk.choices ?? [];
    const piece = choice?.delta?.content ?? '';
    if (!piece && !choice?.finish_reason) continue;
    lastAt = performance.now();
    firstAt ||= lastAt;
    if (!piece) continue;
    text += piece;
    onText(piece);
  }
  throw new CommandError('the answer broke off: the gateway closed the stream');
}

async function describe(response: Response): Promise<string> {
  const body = await response.text();
  try {
    return `${response.status}: ${(JSON.parse(body) as { error: { message: string } }).error.message}`;
  } catch {
    return `${response.status}: ${body.slice(0, 200)}`;
  }
}
