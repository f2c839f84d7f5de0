import type { Question } from '../cluster/openai-client';

const TIMEOUT_MS = 90_000;

/** Everything that came back for one request. */
export interface Outcome {
  readonly status: number;
  readonly text: string;
  /** One for each time that the answer was said to be over, for whatever reason. */
  readonly terminalEvents: readonly string[];
  readonly usage: object | undefined;
}

interface Message {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string };
    readonly message?: { readonly content: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: object | null;
  readonly error?: { readonly code: string; readonly message: string };
}

/**
 * Sends a question as it is and reads whatever comes: the official client would hide what should not have come.
 * @param onProgress with the text so far
 */
export async function exchange(
  url: string,
  model: string,
  { messages, temperature, seed, maxTokens: max_tokens }: Question,
  stream: boolean,
  onProgress: (text: string) => void = () => undefined,
): Promise<Outcome> {
  const options = stream ? { stream, stream_options: { include_usage: true } } : {};
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages, temperature, seed, max_tokens, ...options }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  let text = '';
  let usage: object | undefined;
  const terminalEvents: string[] = [];
  const take = (message: Message) => {
    const choice = message.choices?.[0];
    text += choice?.delta?.content ?? choice?.message?.content ?? '';
    usage = message.usage ?? usage;
    if (choice?.finish_reason) terminalEvents.push(choice.finish_reason);
    if (message.error) terminalEvents.push(`${message.error.code}: ${message.error.message}`);
    onProgress(text);
  };
  if (stream && response.ok) {
    let isDone = false;
    for await (const data of serverSentEvents(response)) {
      if (isDone) terminalEvents.push(`data after the end: ${data}`);
      else if (data === '[DONE]') isDone = true;
      else take(JSON.parse(data) as Message);
    }
    if (!isDone) terminalEvents.push('the stream was cut');
  } else {
    take((await response.json()) as Message);
  }
  return { status: response.status, text, terminalEvents, usage };
}

async function* serverSentEvents(response: Response): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split('\n\n');
    rest = events.pop()!;
    for (const event of events) if (event.startsWith('data: ')) yield event.slice('data: '.length);
  }
}
