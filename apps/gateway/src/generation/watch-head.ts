import { PangalacticError } from '@pangalactic/contracts';
import type { ServerStream } from '@pangalactic/transport';

export interface HeadWatch {
  /** How long the head may say nothing before it is asked whether it is there. */
  readonly silenceMs: number;
  readonly answers: () => Promise<boolean>;
}

/**
 * The messages of a call to a head. A head that runs finds a stage that stands still by its step deadlines; one that stands
 * still itself keeps its connections open and says nothing, so the call of one that does not even answer is ended. The time
 * in which nobody waits for a message does not count as silence.
 */
export async function* watchHead<Message>(
  call: ServerStream<Message>,
  { silenceMs, answers }: HeadWatch,
): AsyncGenerator<Message, void, undefined> {
  let messages = 0;
  let waiting = false;
  let ended = false;

  const check = async () => {
    const messagesBefore = messages;
    const isThere = !waiting || (await answers());
    if (ended) return;
    if (isThere || messages > messagesBefore) timer.refresh();
    else call.cancel(new PangalacticError('service_unavailable', 'the head is silent and does not answer'));
  };
  const timer = setTimeout(() => void check(), silenceMs);

  try {
    for (;;) {
      waiting = true;
      const next = await call.next();
      waiting = false;
      if (next.done) return;
      messages += 1;
      timer.refresh();
      yield next.value;
    }
  } finally {
    ended = true;
    clearTimeout(timer);
    call.cancel();
  }
}
