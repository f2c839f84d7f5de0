import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ModelInfo, PangalacticError } from '@pangalactic/contracts';
import { CATALOGUE, catalogueModelInfo, findCatalogueModel, inspectModel } from '@pangalactic/models';
import { CommandError } from '../command-error';

export interface ModelToPlan {
  readonly info: ModelInfo;
  /** Such as `Q4_K_M`; a file of one's own has its name instead. */
  readonly described: string;
}

/**
 * A model of the catalogue, a GGUF file, or a folder with one.
 * @throws CommandError
 */
export async function findModelToPlan(name: string): Promise<ModelToPlan> {
  const model = findCatalogueModel(name);
  if (model) return { info: catalogueModelInfo(model), described: model.quantisation };
  const path = await modelFile(name);
  try {
    return { info: await inspectModel(basename(path, '.gguf'), path), described: path };
  } catch (error) {
    throw error instanceof PangalacticError ? new CommandError(error.message, { cause: error }) : error;
  }
}

async function modelFile(path: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) {
    const ids = CATALOGUE.map(({ id }) => id).join(', ');
    throw new CommandError(`${path}: neither a file nor a folder nor one of ${ids}`);
  }
  if (!stats.isDirectory()) return path;
  const files = (await readdir(path)).filter((file) => file.endsWith('.gguf') && !file.startsWith('.'));
  if (files.length === 1) return join(path, files[0]!);
  throw new CommandError(`${path} has ${files.length} GGUF files: name one of them`);
}
