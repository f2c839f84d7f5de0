import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const PROTO_PACKAGE = 'pangalactic.v1';

/** The repository's root: the nearest folder above this file that holds proto/. Works from libs/ and from dist/. */
export function repositoryRoot(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'proto', 'pangalactic', 'v1', 'hub.proto'))) return folder;
    if (folder === dirname(folder)) throw new Error(`proto/pangalactic/v1 not found above ${__dirname}`);
  }
}

export function protoRoot(): string {
  return join(repositoryRoot(), 'proto');
}

export const PROTO_FILES = ['pangalactic/v1/hub.proto', 'pangalactic/v1/node.proto'] as const;
