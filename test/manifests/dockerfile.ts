import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';

/** What a target of docker/Dockerfile leaves in the image's configuration. */
export interface ImageConfig {
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly number[];
  readonly user: string | undefined;
  readonly command: readonly string[];
  readonly healthCommand: readonly string[];
}

const EMPTY: ImageConfig = { env: {}, labels: {}, ports: [], user: undefined, command: [], healthCommand: [] };

export const dockerfilePath = join(repositoryRoot(), 'docker', 'Dockerfile');

/** Every stage by name; a stage inherits from the stage that it is made FROM. */
export function readDockerfile(text = readFileSync(dockerfilePath, 'utf8')): Map<string, ImageConfig> {
  const stages = new Map<string, ImageConfig>();
  let name = '';
  for (const [instruction, rest] of instructions(text)) {
    if (instruction === 'FROM') {
      const [, base = '', stage = ''] = /^(\S+) AS (\S+)$/.exec(rest) ?? [];
      if (!stage) throw new Error(`a stage without a name: FROM ${rest}`);
      name = stage;
      stages.set(name, stages.get(base) ?? EMPTY);
    } else if (name) {
      stages.set(name, apply(stages.get(name)!, instruction, rest));
    }
  }
  return stages;
}

function apply(image: ImageConfig, instruction: string, rest: string): ImageConfig {
  switch (instruction) {
    case 'ENV':
      return { ...image, env: { ...image.env, ...assignments(rest) } };
    case 'LABEL':
      return { ...image, labels: { ...image.labels, ...assignments(rest) } };
    case 'EXPOSE':
      return { ...image, ports: rest.split(/\s+/).map(Number) };
    case 'USER':
      return { ...image, user: rest };
    case 'CMD':
      return { ...image, command: JSON.parse(rest) as string[] };
    case 'HEALTHCHECK':
      return { ...image, healthCommand: JSON.parse(rest.slice(rest.indexOf('['))) as string[] };
    default:
      return image;
  }
}

/** Continued lines joined, comments left out. */
function instructions(text: string): [instruction: string, rest: string][] {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\s*\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [, instruction = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? [];
    return [instruction, rest];
  });
}

function assignments(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)].map(([, key, quoted, plain]) => [key!, quoted ?? plain ?? '']),
  );
}
