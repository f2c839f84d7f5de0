import { PangalacticError } from '@pangalactic/contracts';
import type { ChoiceEvent, CompletedChoice, Usage } from './generation-event';
import type { ScoredToken } from './scored-tokens';

/** The usage of a request: the prompt counts once, the completion tokens of all choices count. */
export class UsageTotal {
  private sum: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };

  get total(): Usage {
    return this.sum;
  }

  add({ choiceIndex, event }: ChoiceEvent): void {
    if (event.kind !== 'finished') return;
    const completionTokens = this.sum.completionTokens + event.usage.completionTokens;
    // What the other choices reuse is mostly what the first one has just computed.
    this.sum = { ...(choiceIndex === 0 ? event.usage : this.sum), completionTokens };
  }
}

/** Takes all events of a request. */
export async function completedChoices(
  events: AsyncIterable<ChoiceEvent>,
  count: number,
): Promise<{ choices: CompletedChoice[]; usage: Usage }> {
  const usage = new UsageTotal();
  const choices = Array.from({ length: count }, () => ({
    text: '',
    tokens: [] as ScoredToken[],
    reason: undefined as CompletedChoice['reason'] | undefined,
  }));
  for await (const choiceEvent of events) {
    usage.add(choiceEvent);
    const choice = choices[choiceEvent.choiceIndex]!;
    const { event } = choiceEvent;
    if (event.kind === 'piece') {
      choice.text += event.text;
      choice.tokens.push(...event.tokens);
    }
    if (event.kind === 'finished') choice.reason = event.reason;
  }
  return {
    choices: choices.map(({ reason, ...piece }) => {
      if (!reason) throw new PangalacticError('internal_error', 'The generation ended without a reason.');
      return { ...piece, reason };
    }),
    usage: usage.total,
  };
}
