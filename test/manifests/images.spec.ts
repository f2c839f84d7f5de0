import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { run as lint } from 'dockerfilelint';
import { describe, expect, it } from 'vitest';
import { describeApplication } from './applications';
import { dockerfilePath, readDockerfile } from './dockerfile';

const text = readFileSync(dockerfilePath, 'utf8');
const stages = readDockerfile(text);
const IMAGES = [
  ['hub', 'hub'],
  ['gateway', 'gateway'],
  ['node', 'node'],
  ['node-rocm', 'node'],
  ['node-cpu', 'node'],
] as const;

describe('docker/Dockerfile', () => {
  it('has nothing that the linter minds', () => {
    const bases = text.split('\n').flatMap((line, index) => {
      const [, base = ''] = /^FROM (\S+) AS /.exec(line) ?? [];
      return stages.has(base) ? [index + 1] : [];
    });
    // A stage of this file has no tag; the linter takes it for an image.
    const mistakes = lint('docker', text).filter(
      ({ rule, line }) => !(rule === 'missing_tag' && (bases.includes(line) || bases.includes(line + 1))),
    );
    expect(mistakes).toEqual([]);
    expect(lint('docker', 'FROM debian\nRUN apt-get update\n')).not.toEqual([]);
  });

  it('pins every base', () => {
    const bases = [...text.matchAll(/^FROM (\S+) AS /gm)].map(([, base]) => base!).filter((base) => !stages.has(base));
    for (const base of bases) expect(base).toMatch(/:(\d+\.\d+\.\d+|\$\{NODE_VERSION\})-[\w.-]+$/);
    expect(text).toMatch(/^ARG NODE_VERSION=\d+\.\d+\.\d+$/m);
  });

  it.each(IMAGES)('%s runs as nobody in particular, as process 1, and says how it is', (target, app) => {
    const { env, labels, ports, user, command, healthCommand } = stages.get(target)!;
    const defaults = describeApplication(app, env).ports;
    expect(user).toBe('1000:1000');
    // No shell and no npm between the signal and the process.
    expect(command).toEqual(['node', `dist/apps/${app}/src/main.js`]);
    expect(healthCommand).toEqual(['node', '/app/docker/healthcheck.mjs', `http://127.0.0.1:${defaults.http}/healthz`]);
    expect(ports).toEqual(Object.values(defaults));
    expect(labels['org.opencontainers.image.title']).toBe(`pangalactic/${target}`);
    expect(env.NODE_ENV).toBe('production');
  });

  it('copies what is there, past .dockerignore', () => {
    const ignored = readFileSync(join(repositoryRoot(), '.dockerignore'), 'utf8').split('\n');
    const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources]) => sources!.split(' '));
    for (const source of copied) {
      expect(existsSync(join(repositoryRoot(), source)), source).toBe(true);
      expect(ignored.some((line) => line === `!${source}` || line.startsWith(`!${source}/`))).toBe(true);
    }
  });
});
