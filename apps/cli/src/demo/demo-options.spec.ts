import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { describe, expect, it } from 'vitest';
import { parseDemoOptions } from './demo-options';

const models = join(repositoryRoot(), 'models');

describe('parseDemoOptions', () => {
  it('has the documented defaults', () => {
    expect(parseDemoOptions([])).toEqual({
      prompt: 'What is PanGalactic?',
      nodes: 3,
      model: 'pangalactic-nano',
      modelDirectory: models,
      ports: {
        hub: 7100,
        hubHttp: 7101,
        gateway: 8080,
        nodes: [
          { grpc: 7200, http: 7201 },
          { grpc: 7202, http: 7203 },
          { grpc: 7204, http: 7205 },
        ],
      },
      exit: false,
      json: false,
    });
  });

  it('takes every flag', () => {
    const flags = '--nodes 1 --model pangalactic-nano-f16 --port 8081 --hub-port 9000 --node-port 9100 --exit --json';
    expect(parseDemoOptions(['--prompt', 'Hello', ...flags.split(' ')])).toEqual({
      prompt: 'Hello',
      nodes: 1,
      model: 'pangalactic-nano-f16',
      modelDirectory: models,
      ports: { hub: 9000, hubHttp: 9001, gateway: 8081, nodes: [{ grpc: 9100, http: 9101 }] },
      exit: true,
      json: true,
    });
  });

  it('takes the path of a model file', () => {
    const path = join(models, 'pangalactic-nano-q4_0.gguf');
    expect(parseDemoOptions(['--model', path])).toMatchObject({
      model: 'pangalactic-nano-q4_0',
      modelDirectory: models,
    });
  });

  it.each([
    ['no-such-model', /^--model no-such-model: .* has .*pangalactic-nano\b/],
    ['/no/such/file.gguf', /^--model \/no\/such\/file\.gguf: there is no such file$/],
  ])('refuses the model %s', (model, message) => {
    expect(() => parseDemoOptions(['--model', model])).toThrow(message);
  });
});
