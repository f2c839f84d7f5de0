import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { expect, it } from 'vitest';
import { VARIABLE_TABLE } from './variable-table';

const INTRODUCTION = `# Configuration

Each process is configured by environment variables alone. An empty value counts as unset. A bad one stops the process at start with
exit code 1 and one line that names the variable, the value and what is allowed.

This page is made from the schemas in libs/config: \`npx vitest run --project unit libs/config --update\` writes it anew.
`;

const TITLES: Readonly<Record<string, string>> = { cli: 'pangalactic model download', all: 'Every process' };

const cell = (text: string) => text.replaceAll('|', '\\|');

function section(process: string): string {
  const rows = VARIABLE_TABLE.filter((row) => row.process === process).map(
    (row) => `| \`${row.variable}\` | ${cell(row.default) || '(none)'} | ${cell(row.allowed)} | ${cell(row.meaning)} |`,
  );
  const title = TITLES[process] ?? process[0]!.toUpperCase() + process.slice(1);
  return [`\n## ${title}\n`, '| variable | default | allowed | meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

it('docs/configuration.md lists every variable', async () => {
  const page = INTRODUCTION + ['hub', 'node', 'gateway', 'cli', 'all'].map(section).join('');
  await expect(page).toMatchFileSnapshot(join(repositoryRoot(), 'docs/configuration.md'));
});
