import type { LoadedModel } from '../models/loaded-model';
import { encodePrompt } from './prompt';
import type { Prompt } from './prompt';
import type { SlicedWork } from '../sliced-work';

/** A request's prompt in tokens, made once for all its choices and attempts. */
export class EncodedPrompt {
  private readonly byFingerprint = new Map<string, Promise<readonly number[]>>();

  /** @param client aborts when the client is gone */
  constructor(
    private readonly prompt: Prompt,
    private readonly work: SlicedWork,
    private readonly client: AbortSignal,
  ) {}

  /** @throws PangalacticError `invalid_request`, `context_length_exceeded` or `queue_full` */
  of(model: LoadedModel, contextLength: number): Promise<readonly number[]> {
    const known = this.byFingerprint.get(model.fingerprint);
    if (known) return known;
    const encoding = this.work.run(encodePrompt(model, this.prompt, contextLength), this.client);
    this.byFingerprint.set(model.fingerprint, encoding);
    return encoding;
  }
}
