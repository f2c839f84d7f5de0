import { PangalacticError } from '@pangalactic/contracts';
import { orAborted } from '../abort';
import { merge } from '../merge';
import type { Admission } from './admission';
import type { ChoiceEvent, GenerationEvent } from './generation-event';

export interface ChoiceContext {
  readonly choiceIndex: number;
  readonly signal: AbortSignal;
  /** The places that the choices of the request have at the moment. */
  readonly places: Set<Admission>;
}

type RunChoice = (context: ChoiceContext) => AsyncGenerator<GenerationEvent, void, undefined>;

/**
 * Runs the choices of one request side by side. All end with the first failure, and when the caller leaves. The first one
 * goes ahead until its prompt is computed: the others can reuse that.
 * @param client aborts when the client is gone
 */
export async function* runChoices(
  count: number,
  client: AbortSignal,
  run: RunChoice,
): AsyncGenerator<ChoiceEvent, void, undefined> {
  const left = new AbortController();
  const signal = count > 1 ? AbortSignal.any([client, left.signal]) : client;
  const places = new Set<Admission>();
  let lead = () => {};
  const promptComputed = new Promise<void>((resolve) => (lead = resolve));

  async function* choice(choiceIndex: number): AsyncGenerator<ChoiceEvent, void, undefined> {
    if (choiceIndex > 0) await orAborted(promptComputed, signal);
    for await (const event of run({ choiceIndex, signal, places })) {
      if (event.kind !== 'accepted') lead();
      yield { choiceIndex, event };
    }
  }

  try {
    const choices = Array.from({ length: count }, (_, choiceIndex) => choice(choiceIndex));
    if (count === 1) yield* choices[0]!;
    else yield* merge(choices);
  } finally {
    left.abort(new PangalacticError('cancelled', 'Another choice of the request ended it.'));
  }
}
