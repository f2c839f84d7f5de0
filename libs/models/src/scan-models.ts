import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  INVENTORY_LIMITS,
  isModelId,
  type ModelInfo,
  type RejectedModel,
  toPangalacticError,
} from '@pangalactic/contracts';
import { inspectModel } from './inspect-model';

export interface ScannedModels {
  readonly models: readonly { readonly info: ModelInfo; readonly path: string }[];
  readonly rejected: readonly RejectedModel[];
}

interface Candidate {
  readonly id: string;
  readonly path: string;
}

const EXTENSION = '.gguf';

/**
 * Finds the models of a directory: `<dir>/<id>/*.gguf` (one file per folder) and `<dir>/<id>.gguf`. Whatever cannot be
 * served is named with its reason; nothing in the directory, not even its absence, makes this fail.
 */
export async function scanModels(dir: string): Promise<ScannedModels> {
  const models: { info: ModelInfo; path: string }[] = [];
  const rejected: RejectedModel[] = [];
  const paths = new Map<string, string>();
  for await (const candidate of candidates(dir, rejected)) {
    const { id, path } = candidate;
    const other = paths.get(id);
    if (other !== undefined) {
      rejected.push({ file: path, reason: `the model id "${id}" belongs to ${other} already` });
      continue;
    }
    paths.set(id, path);
    if (!isModelId(id)) {
      rejected.push({ file: path, reason: `its name is too long: allowed: ${INVENTORY_LIMITS.modelIdBytes} bytes` });
      continue;
    }
    try {
      models.push({ info: await inspectModel(id, path), path });
    } catch (error) {
      rejected.push({ file: path, reason: toPangalacticError(error).message });
    }
  }
  return { models, rejected };
}

/** Sizes and times of every file that scanModels may look at: it changes when a scan would find something else. */
export async function listModelFiles(dir: string): Promise<string> {
  const lines: string[] = [];
  const unreadable: RejectedModel[] = [];
  const add = async (path: string) => {
    const stats = await stat(path).catch(() => undefined);
    lines.push(`${path} ${stats?.size} ${stats?.mtimeMs}`);
  };
  for (const name of await entries(dir, unreadable)) {
    const path = join(dir, name);
    if (await isDirectory(path)) {
      for (const file of (await entries(path, unreadable)).filter(isModelFile)) await add(join(path, file));
    } else if (isModelFile(name)) {
      await add(path);
    }
  }
  return [...lines, ...unreadable.map(({ reason }) => reason)].join('\n');
}

async function* candidates(dir: string, rejected: RejectedModel[]): AsyncGenerator<Candidate> {
  for (const name of await entries(dir, rejected)) {
    const path = join(dir, name);
    if (await isDirectory(path)) {
      const files = (await entries(path, rejected)).filter(isModelFile);
      if (files.length === 1) yield { id: name, path: join(path, files[0]!) };
      if (files.length > 1) {
        rejected.push({
          file: path,
          reason: `${files.length} GGUF files (${files.join(', ')}): allowed: one per folder`,
        });
      }
    } else if (isModelFile(name)) {
      yield { id: name.slice(0, -EXTENSION.length), path };
    }
  }
}

/** Sorted, without hidden ones: downloads and editors put their temporary files there. */
async function entries(dir: string, rejected: RejectedModel[]): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    rejected.push({ file: dir, reason: toPangalacticError(error).message });
    return [];
  }
}

function isModelFile(name: string): boolean {
  return name.endsWith(EXTENSION);
}

async function isDirectory(path: string): Promise<boolean> {
  // Through links, as model directories are often made of them; a broken one is reported when its file is opened.
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
