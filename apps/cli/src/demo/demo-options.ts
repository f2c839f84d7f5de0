import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import type { ClusterPorts } from '@pangalactic/testing';
import { Command, InvalidArgumentError } from 'commander';
import { CommandError } from '../command-error';

export interface DemoOptions {
  readonly prompt: string;
  readonly nodes: number;
  readonly model: string;
  readonly modelDirectory: string;
  readonly ports: ClusterPorts;
  /** End after one answer. */
  readonly exit: boolean;
  readonly json: boolean;
}

interface Flags {
  readonly prompt: string;
  readonly nodes: number;
  readonly model: string;
  readonly port: number;
  readonly hubPort: number;
  readonly nodePort: number;
  readonly exit?: true;
  readonly json?: true;
}

/**
 * Wrong flags end the process with one line, as commander does it.
 * @throws CommandError for a model that is not there
 */
export function parseDemoOptions(args: readonly string[]): DemoOptions {
  const command = new Command('npm run demo --')
    .description('A hub, nodes and a gateway on this machine, serving one model that is cut over the nodes.')
    .option('--prompt <text>', 'what to ask first', 'What is PanGalactic?')
    .option('--nodes <count>', 'nodes, hence stages of the pipeline, 1 to 8', integer(1, 8), 3)
    .option('--model <id or file>', 'a model of models/, or the path of a GGUF file', 'pangalactic-nano')
    .option('--port <port>', 'of the gateway', port, 8080)
    .option('--hub-port <port>', 'of the hub, which also takes the next one', port, 7100)
    .option('--node-port <port>', 'first port of the nodes, which take two each', port, 7200)
    .option('--exit', 'end after one answer')
    .option('--json', 'make the last line of stdout one JSON object; layers are [from, to)')
    .allowExcessArguments(false)
    .parse(args, { from: 'user' });
  const flags = command.opts<Flags>();
  return {
    prompt: flags.prompt,
    nodes: flags.nodes,
    ...locateModel(flags.model),
    ports: {
      hub: flags.hubPort,
      hubHttp: flags.hubPort + 1,
      gateway: flags.port,
      nodes: Array.from({ length: flags.nodes }, (_, index) => ({
        grpc: flags.nodePort + 2 * index,
        http: flags.nodePort + 2 * index + 1,
      })),
    },
    exit: flags.exit ?? false,
    json: flags.json ?? false,
  };
}

function locateModel(model: string): Pick<DemoOptions, 'model' | 'modelDirectory'> {
  if (model.endsWith('.gguf')) {
    const path = resolve(model);
    if (!existsSync(path)) throw new CommandError(`--model ${model}: there is no such file`);
    return { model: basename(path, '.gguf'), modelDirectory: dirname(path) };
  }
  const modelDirectory = join(repositoryRoot(), 'models');
  if (!existsSync(join(modelDirectory, `${model}.gguf`)) && !existsSync(join(modelDirectory, model))) {
    const files = readdirSync(modelDirectory).filter((file) => file.endsWith('.gguf'));
    const known = files.map((file) => basename(file, '.gguf')).join(', ');
    throw new CommandError(`--model ${model}: ${modelDirectory} has ${known}`);
  }
  return { model, modelDirectory };
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`allowed: an integer from ${min} to ${max}`);
  };
}

// Room for the ports that are counted up from it.
const port = integer(1, 65_535 - 16);
