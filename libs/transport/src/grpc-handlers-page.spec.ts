import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { serviceDefinition } from './service-definitions';

const ASPECTS = ['error', 'cancellation', 'deadline', 'slow reader'];
const METHODS = (['HubService', 'NodeService'] as const).flatMap((service) =>
  Object.values(serviceDefinition(service)).map(({ path }) => path.replace('/pangalactic.v1.', '')),
);

function read(file: string): string {
  return readFileSync(join(repositoryRoot(), file), 'utf8');
}

describe('docs/grpc-handlers.md', () => {
  const page = read('docs/grpc-handlers.md');

  it.each(METHODS)('says what proves %s', (method) => {
    const section = page.split('\n## ').find((each) => each.startsWith(`${method}\n`)) ?? '';
    expect([...section.matchAll(/^- ([a-z ]+): \S/gm)].map(([, aspect]) => aspect)).toEqual(ASPECTS);
  });

  it('names tests that exist', () => {
    const named = [...page.matchAll(/\[(.+)\]\(\.\.\/(.+)\)/g)];
    expect(named.length).toBeGreaterThan(METHODS.length * 3);
    const missing = named.filter(([, title, file]) => !read(file!).includes(`'${title}'`));
    expect(missing.map(([link]) => link)).toEqual([]);
  });
});
