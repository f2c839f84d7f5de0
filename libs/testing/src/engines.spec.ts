import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { expect, it } from 'vitest';

// Without types of its own.
const { subset } = createRequire(__filename)('semver') as { subset: (range: string, of: string) => boolean };

interface Package {
  readonly engines?: { readonly node?: string };
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(join(repositoryRoot(), file), 'utf8')) as T;
}

it('the versions of Node that package.json allows are allowed by all that it installs', () => {
  const { packages } = readJson<{ packages: Record<string, Package> }>('package-lock.json');
  // One at a time: `subset` does not join neighbouring ranges of the dependency.
  const ours = readJson<Package>('package.json').engines!.node!.split(' || ');
  const refusals = Object.entries(packages).flatMap(([name, { engines }]) =>
    ours.filter((range) => engines?.node && !subset(range, engines.node)).map((range) => `${name}: ${range}`),
  );
  expect(refusals).toEqual([]);
});
