import { mkdtempSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelInfo, PangalacticError } from '@pangalactic/contracts';
import { GgmlType, GgufFile, inspectModel } from '@pangalactic/models';
import { float32, type RandomModelOptions, type RandomModelShape, text, writeRandomModel } from '@pangalactic/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { ShardEngine } from '../../libs/inference/src/transformers/engine/shard-engine';
import { type MutableFile, mutate, numberFields } from './mutate-gguf';

const NIGHTLY = process.env.PANGALACTIC_NIGHTLY === '1';
const FILES = NIGHTLY ? 200_000 : 10_000;
/** Of the files that are taken for good, so many are loaded and run. */
const LOADED = NIGHTLY ? 5_000 : 100;
const SEED = 20_261_126;
/** What reading a header may take at most by its limits, with room for garbage that is not collected yet. */
const MOST_MEMORY_BYTES = 512 * 2 ** 20;
const MOST_MS = 5_000;

const SHAPE: RandomModelShape = {
  ...{ layers: 1, hiddenSize: 32, heads: 2, kvHeads: 1, headSize: 16, feedForwardSize: 32 },
  ...{ vocabSize: 260, contextLength: 64, tiedEmbeddings: true },
};
const YARN = { 'qwen2.rope.scaling.type': text('yarn'), 'qwen2.rope.scaling.factor': float32(4) };
const sources: ({ name: string; shape: RandomModelShape } & Omit<RandomModelOptions, 'seed'>)[] = [
  { name: 'llama', shape: { ...SHAPE, ropeFactors: true }, type: GgmlType.Q5_1 },
  {
    ...{ name: 'qwen2', shape: { ...SHAPE, architecture: 'qwen2', tiedEmbeddings: false } },
    ...{ type: GgmlType.Q4_0, metadata: YARN },
  },
  { name: 'qwen3', shape: { ...SHAPE, architecture: 'qwen3' }, type: GgmlType.F16 },
  {
    ...{ name: 'k-quants', shape: { ...SHAPE, hiddenSize: 256 } },
    // The others have rows of 32.
    type: (tensor) => (/attn_output|ffn_down/.test(tensor) ? GgmlType.Q5_0 : GgmlType.Q4_K),
  },
];

describe('hostile GGUF files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pangalactic-hostile-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function mutableFiles(): Promise<MutableFile[]> {
    const files: MutableFile[] = [];
    for (const { name, shape, type, metadata = {} } of sources) {
      const path = join(folder, `${name}.gguf`);
      await writeRandomModel(path, shape, { seed: 1, type, metadata });
      const { headerBytes } = await using(await GgufFile.open(path));
      const bytes = await readFile(path);
      files.push({ bytes, headerBytes: headerBytes.length, fields: numberFields(bytes) });
    }
    return files;
  }

  it(
    `get a typed error or are served: ${FILES} mutated files`,
    async () => {
      console.info(`hostile files: seeds from ${SEED}`);
      const files = await mutableFiles();
      const path = join(folder, 'mutated.gguf');
      const codes = new Map<string, number>();
      let loaded = 0;
      const before = process.memoryUsage().rss;
      let mostMemory = 0;
      let mostMs = 0;
      for (let i = 0; i < FILES; i++) {
        const seed = SEED + i;
        await writeFile(path, mutate(files[i % files.length]!, seed));
        const started = performance.now();
        let outcome = 'accepted';
        try {
          const info = await inspectModel('mutated', path);
          // The first of them, and then evenly many.
          if (loaded < (LOADED * (i + 1)) / FILES) {
            loaded++;
            outcome = 'loaded';
            await runOneStep(path, info);
          }
        } catch (error) {
          outcome = typedCode(error, seed);
        }
        codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
        mostMs = Math.max(mostMs, performance.now() - started);
        mostMemory = Math.max(mostMemory, process.memoryUsage().rss - before);
      }
      const counts = [...codes].map(([code, count]) => `${code} ${count}`).join(', ');
      console.info(
        `hostile files: ${counts}; longest ${mostMs.toFixed(0)} ms, ${Math.round(mostMemory / 2 ** 20)} MiB more memory`,
      );
      expect(mostMemory).toBeLessThan(MOST_MEMORY_BYTES);
      expect(mostMs).toBeLessThan(MOST_MS);
      expect(codes.get('corrupt_model_file')).toBeGreaterThan(FILES / 4);
      expect(codes.get('unsupported_architecture')).toBeGreaterThan(0);
      expect(codes.get('unsupported_tensor_type')).toBeGreaterThan(0);
      expect(loaded).toBeGreaterThan(LOADED / 2);
    },
    NIGHTLY ? 3_600_000 : 300_000,
  );

  /** What is accepted must load or fail with a typed error, and give a token of the vocabulary. */
  async function runOneStep(modelPath: string, info: ModelInfo): Promise<void> {
    const contextLength = Math.min(info.contextLength, 16);
    const layers = { from: 0, to: info.layers };
    const engine = await ShardEngine.open(
      { modelPath, fingerprint: info.fingerprint, layers, contextLength, maxSequences: 1 },
      { device: 'cpu', threads: 1, cacheDir: join(folder, 'cache'), inPlace: true },
      () => undefined,
    );
    try {
      const tokenIds = Uint32Array.of(1, 2);
      const sampling = { temperature: 0, topP: 1 };
      await engine.apply({
        ...{ kind: 'start', slot: 0, generation: 1, sampling, seed: 1, choiceIndex: 0 },
        ...{ promptIds: [...tokenIds], emittedIds: [] },
      });
      const rows = [{ slot: 0, generation: 1, start: 0, count: tokenIds.length, sample: true }];
      const [sample] = (await engine.run({ rows, tokenIds })).samples;
      expect(sample!.id).toBeGreaterThanOrEqual(0);
      expect(sample!.id).toBeLessThan(info.vocabSize);
    } finally {
      await engine.close();
    }
  }
});

async function using(file: GgufFile): Promise<GgufFile> {
  await file.close();
  return file;
}

/** The code of a failure that was meant to be: no error of the language in disguise. */
function typedCode(error: unknown, seed: number): string {
  const origin = error instanceof PangalacticError && error.cause ? error.cause : error;
  if (error instanceof PangalacticError && origin instanceof PangalacticError) return error.code;
  throw new Error(`seed ${seed}: an error that is not typed`, { cause: origin });
}
