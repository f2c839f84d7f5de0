import { PangalacticError } from '@pangalactic/contracts';

/**
 * Everything a sequence is made of, bound to the weights that produced it. It outlives the pipelines it runs on: any
 * pipeline of the same weights can continue from it.
 */
export class Transcript {
  private readonly emitted: number[] = [];

  constructor(
    readonly fingerprint: string,
    readonly promptIds: readonly number[],
  ) {}

  get emittedIds(): readonly number[] {
    return this.emitted;
  }

  /**
   * @returns false for a token that is there already: emitted tokens never change
   * @throws PangalacticError `invalid_frame` when a token between was lost
   */
  append(index: number, id: number): boolean {
    if (index < this.emitted.length) return false;
    if (index > this.emitted.length) {
      throw new PangalacticError(
        'invalid_frame',
        `completion token ${index} arrived before token ${this.emitted.length}`,
      );
    }
    this.emitted.push(id);
    return true;
  }
}
