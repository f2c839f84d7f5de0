import { ConfigError, type DownloadConfig, loadDownloadConfig } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';
import {
  type DownloadedModel,
  downloadModel,
  inspectModel,
  type ModelSource,
  parseModelSource,
} from '@pangalactic/models';
import { CommandError } from '../command-error';
import { fileSize } from './file-size';
import { createProgressDisplay } from './progress-display';

/**
 * Downloads with a progress display on stderr.
 * @returns what to tell the user
 * @throws CommandError that says what to do
 */
export async function downloadToFolder(name: string, outputDir: string, id?: string): Promise<string> {
  try {
    const config = loadDownloadConfig();
    const source = parseModelSource(name, config.huggingFaceEndpoint, id);
    return await report(source, await download(source, outputDir, config));
  } catch (error) {
    const expected = error instanceof PangalacticError || error instanceof ConfigError;
    throw expected ? new CommandError(error.message, { cause: error }) : error;
  }
}

async function download(source: ModelSource, outputDir: string, config: DownloadConfig): Promise<DownloadedModel> {
  const { huggingFaceEndpoint, huggingFaceToken, httpProxy, httpsProxy, noProxy } = config;
  const display = createProgressDisplay(process.stderr);
  const stop = new AbortController();
  const interrupt = () => stop.abort(new CommandError('stopped; the same command goes on from here'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await downloadModel(source, {
      outputDir,
      ...(huggingFaceToken && { token: { origin: new URL(huggingFaceEndpoint).origin, value: huggingFaceToken } }),
      proxy: { http: httpProxy ?? '', https: httpsProxy ?? '', except: noProxy ?? '' },
      onProgress: (progress) => display.show(progress),
      signal: stop.signal,
    });
  } finally {
    display.end();
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function report(
  source: ModelSource,
  { path, bytes, alreadyComplete, verified }: DownloadedModel,
): Promise<string> {
  const how = alreadyComplete
    ? 'is complete already'
    : verified
      ? 'sha256 verified'
      : 'the server names no hash to verify';
  const lines = [`${source.id}: ${path}, ${fileSize(bytes)}, ${how}`];
  try {
    await inspectModel(source.id, path);
  } catch (error) {
    // The file is what was asked for; that nodes refuse it is better said now than found in their logs.
    lines.push(`warning: nodes cannot load it: ${(error as Error).message}`);
  }
  return lines.join('\n');
}
