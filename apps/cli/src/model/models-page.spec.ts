import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { CATALOGUE, catalogueModelInfo } from '@pangalactic/models';
import { sizePipeline } from '@pangalactic/scheduler';
import { expect, it } from 'vitest';
import { formatBytes } from '../cluster/cluster-tables';
import { fileSize } from './file-size';
import { parseNodeKinds } from './node-kinds';

const SIZES = ['8 GB', '16 GB', '24 GB'];
const BEGIN = '<!-- sizing table: npx vitest run --project unit apps/cli/src/model --update -->\n\n';
const END = '\n<!-- end of sizing table -->';

function rows(): string[][] {
  return CATALOGUE.map((model) => {
    const kinds = parseNodeKinds(SIZES.map((size) => size.replace(' ', '')).join(','));
    const { weightBytes, kvBytesPerToken, fewestNodes } = sizePipeline(catalogueModelInfo(model), kinds, {});
    const nodes = [...fewestNodes]
      .reverse()
      .map(({ nodes, limits }) => (limits ? `${nodes}: ${limits.maxSequences} x ${limits.contextLength}` : 'none'));
    const sizes = [fileSize(model.fileBytes), formatBytes(weightBytes), formatBytes(kvBytesPerToken)];
    return [`\`${model.id}\``, String(model.shape.layers), ...sizes, ...nodes];
  });
}

/** As prettier would write it. */
function markdownTable(lines: readonly string[][]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const written = lines.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`);
  const dashes = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [written[0], dashes, ...written.slice(1), ''].join('\n');
}

it('docs/models.md has the sizes that `model plan` computes', async () => {
  const path = join(repositoryRoot(), 'docs/models.md');
  const page = await readFile(path, 'utf8');
  const [from, to] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  expect(from).toBeGreaterThan(BEGIN.length);
  expect(to).toBeGreaterThan(from);
  const table = markdownTable([['model', 'layers', 'file', 'weights', 'KV per token', ...SIZES], ...rows()]);
  await expect(page.slice(0, from) + table + page.slice(to)).toMatchFileSnapshot(path);
});
