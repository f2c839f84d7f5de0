import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { GgmlType } from '@pangalactic/models';
import { type RandomModelShape, writeRandomModel } from '@pangalactic/testing';

export const TINYLLAMA: RandomModelShape = {
  layers: 22,
  hiddenSize: 2048,
  feedForwardSize: 5632,
  heads: 32,
  kvHeads: 4,
  headSize: 64,
  vocabSize: 32_000,
  tiedEmbeddings: false,
  contextLength: 2560,
};

export const TINYLLAMA_ID = 'tinyllama-shape-q4_0';
export const MODEL_DIRECTORY = join(repositoryRoot(), 'data/bench/models');

/** A Q4_0 file of TinyLlama's shape with random weights, written once. */
export async function tinyLlamaFile(): Promise<string> {
  const path = join(MODEL_DIRECTORY, `${TINYLLAMA_ID}.gguf`);
  if (existsSync(path)) return path;
  await mkdir(MODEL_DIRECTORY, { recursive: true });
  await writeRandomModel(`${path}.part`, TINYLLAMA, { seed: 1, type: GgmlType.Q4_0 });
  await rename(`${path}.part`, path);
  return path;
}
