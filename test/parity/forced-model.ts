import { describeModel, GgufFile } from '@pangalactic/models';
import { ShardEngine } from '../../libs/inference/src/transformers/engine/shard-engine';

export interface ForcedModelOptions {
  /** Layers at which the model is cut into stages. Default: none. */
  readonly cuts?: readonly number[];
  /** What becomes of hidden states on the way from one stage to the next. Default: nothing. */
  readonly hop?: (hidden: Float32Array, tokens: number) => Float32Array;
}

/** A whole model in this thread, for tests that need logits and not only tokens. */
export class ForcedModel {
  private generation = 0;

  private constructor(
    private readonly stages: readonly ShardEngine[],
    private readonly hop: NonNullable<ForcedModelOptions['hop']>,
  ) {}

  static async open(modelPath: string, cacheDir: string, options: ForcedModelOptions = {}): Promise<ForcedModel> {
    const { cuts = [], hop = (hidden) => hidden } = options;
    const file = await GgufFile.open(modelPath);
    const { layers, contextLength } = describeModel(file.header);
    const fingerprint = await file.fingerprint();
    await file.close();
    const bounds = [0, ...cuts, layers];
    const stages: ShardEngine[] = [];
    for (const [index, to] of bounds.slice(1).entries()) {
      const range = { from: bounds[index]!, to };
      const spec = { modelPath, fingerprint, layers: range, contextLength, maxSequences: 1 };
      stages.push(
        await ShardEngine.open(spec, { device: 'cpu', threads: 1, cacheDir, inPlace: true }, () => undefined),
      );
    }
    return new ForcedModel(stages, hop);
  }

  /** Log-probabilities after the prompt and after each forced token but the last, one row per forced token. */
  async logProbabilities(promptIds: readonly number[], forcedIds: readonly number[]): Promise<Float64Array[]> {
    const generation = await this.start(promptIds);
    const rows = [await this.feed(generation, 0, promptIds)];
    for (let i = 0; i + 1 < forcedIds.length; i++) {
      rows.push(await this.feed(generation, promptIds.length + i, [forcedIds[i]!]));
    }
    await this.release(generation);
    return rows;
  }

  /** Its own choice of the next tokens, one after the other. */
  async greedy(promptIds: readonly number[], count: number): Promise<number[]> {
    const generation = await this.start(promptIds);
    const ids: number[] = [];
    for (let next = promptIds; ids.length < count; next = ids.slice(-1)) {
      const row = await this.feed(generation, ids.length === 0 ? 0 : promptIds.length + ids.length - 1, next);
      ids.push(row.indexOf(Math.max(...row)));
    }
    await this.release(generation);
    return ids;
  }

  async close(): Promise<void> {
    for (const stage of this.stages) await stage.close();
  }

  private async start(promptIds: readonly number[]): Promise<number> {
    const generation = ++this.generation;
    const sequence = { sampling: { temperature: 0, topP: 1 }, seed: 0, choiceIndex: 0, promptIds, emittedIds: [] };
    for (const stage of this.stages) await stage.apply({ kind: 'start', slot: 0, generation, ...sequence });
    return generation;
  }

  private async release(generation: number): Promise<void> {
    for (const stage of this.stages) await stage.apply({ kind: 'release', slot: 0, generation });
  }

  private async feed(generation: number, start: number, ids: readonly number[]): Promise<Float64Array> {
    const rows = [{ slot: 0, generation, start, count: ids.length, sample: true }];
    const [head, ...others] = this.stages;
    let values = await head!.forward({ rows, tokenIds: Uint32Array.from(ids) });
    for (const stage of others) values = await stage.forward({ rows, hidden: this.hop(values, ids.length) });
    return logSoftmax(values);
  }
}

function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0)) + max;
  return Float64Array.from(logits, (logit) => logit - logSum);
}
