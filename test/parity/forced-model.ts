import { GgufFile } from '@pangalactic/models';
import { describeModel } from '@pangalactic/models';
import { ShardEngine } from '../../libs/inference/src/transformers/engine/shard-engine';

/** The whole model in this thread, for tests that need logits and not only tokens. */
export class ForcedModel {
  private generation = 0;

  private constructor(
    private readonly engine: ShardEngine,
    readonly contextLength: number,
  ) {}

  static async open(modelPath: string, cacheDir: string): Promise<ForcedModel> {
    const file = await GgufFile.open(modelPath);
    const { layers, contextLength } = describeModel(file.header);
    const fingerprint = await file.fingerprint();
    await file.close();
    const spec = { modelPath, fingerprint, layers: { from: 0, to: layers }, contextLength, maxSequences: 1 };
    const options = { threads: 2, cacheDir, inPlace: true };
    return new ForcedModel(await ShardEngine.open(spec, options, () => undefined), contextLength);
  }

  /** Log-probabilities after the prompt and after each forced token but the last, one row per forced token. */
  async logProbabilities(promptIds: readonly number[], forcedIds: readonly number[]): Promise<Float64Array[]> {
    const generation = ++this.generation;
    const [sampling, seed, choiceIndex] = [{ temperature: 0, topP: 1 }, 0, 0];
    this.engine.apply({ kind: 'start', slot: 0, generation, sampling, seed, choiceIndex, promptIds, emittedIds: [] });
    const feed = async (start: number, ids: readonly number[]) => {
      const row = { slot: 0, generation, start, count: ids.length, sample: true };
      return logSoftmax(await this.engine.forward({ rows: [row], tokenIds: Uint32Array.from(ids) }));
    };
    const rows = [await feed(0, promptIds)];
    for (let i = 0; i + 1 < forcedIds.length; i++) rows.push(await feed(promptIds.length + i, [forcedIds[i]!]));
    this.engine.apply({ kind: 'release', slot: 0, generation });
    return rows;
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0)) + max;
  return Float64Array.from(logits, (logit) => logit - logSum);
}
