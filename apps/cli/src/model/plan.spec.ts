import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { catalogueModelInfo, findCatalogueModel } from '@pangalactic/models';
import { sizePipeline } from '@pangalactic/scheduler';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findModelToPlan } from './model-to-plan';
import { parseNodeKinds } from './node-kinds';
import { planModel, sizingReport, sizingText } from './plan';

const NANO = join(repositoryRoot(), 'models/pangalactic-nano.gguf');
const GIB = 1024 ** 3;

describe('parseNodeKinds', () => {
  it.each([
    ['3x24GB', [{ count: 3, memoryBytes: 24 * GIB }]],
    [
      '3x24GB,1x8GB',
      [
        { count: 3, memoryBytes: 24 * GIB },
        { count: 1, memoryBytes: 8 * GIB },
      ],
    ],
    [
      '24gb, 0.5GB',
      [
        { count: 1, memoryBytes: 24 * GIB },
        { count: 1, memoryBytes: GIB / 2 },
      ],
    ],
  ])('%s', (text, kinds) => expect(parseNodeKinds(text)).toEqual(kinds));

  it.each(['', '24', 'x24GB', '0x24GB', '3x0GB', '3x24GB,', '3x-1GB', '1001x1GB', '3x24MB'])('refuses "%s"', (text) => {
    expect(() => parseNodeKinds(text)).toThrow(`--nodes ${text}: allowed: up to 1000 nodes such as 3x24GB,1x8GB`);
  });
});

describe('findModelToPlan', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'model-plan-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('finds a model of the catalogue, a file, and the file of a folder', async () => {
    expect((await findModelToPlan('qwen3-8b')).info).toMatchObject({ id: 'qwen3-8b', layers: 36 });
    expect((await findModelToPlan(NANO)).info).toMatchObject({ id: 'pangalactic-nano', layers: 8 });
    await symlink(NANO, join(dir, 'a.gguf'));
    expect((await findModelToPlan(dir)).info).toMatchObject({ id: 'a', layers: 8 });
  });

  it('says what it cannot plan', async () => {
    await expect(findModelToPlan('qwen9')).rejects.toThrow(
      /^qwen9: neither a file nor a folder nor one of smollm2-135m, /,
    );
    await expect(findModelToPlan(dir)).rejects.toThrow(`${dir} has 0 GGUF files: name one of them`);
    await writeFile(join(dir, 'a.gguf'), 'no model');
    await expect(findModelToPlan(dir)).rejects.toThrow(/a\.gguf: not a GGUF file/);
  });
});

describe('model plan', () => {
  const text = (id: string, nodes: string, wanted = {}) => {
    const info = catalogueModelInfo(findCatalogueModel(id)!);
    return sizingText({ info, described: 'Q4_K_M' }, sizePipeline(info, parseNodeKinds(nodes), wanted));
  };

  it('shows what each node holds', () => {
    const lines = text('llama-3.1-70b', '4x24GB').split('\n');
    expect(lines[0]).toBe('llama-3.1-70b: Q4_K_M, 80 layers, context up to 131072 tokens, file 42.5 GB');
    expect(lines[1]).toMatch(/^weights: 6\d\.\d GiB in the engine; KV cache: 640 KiB per token of a sequence$/);
    expect(lines[2]).toMatch(/^fits: \d sequences of 4096 tokens$/);
    expect(lines.filter((line) => /node-\d │ \[\d+, \d+\)/.test(line))).toHaveLength(4);
  });

  it.each([
    ['llama-3.1-70b', '3x8GB', {}, /^does not fit: the weights need 6\d\.\d GiB, all nodes together offer 20\.4 GiB/m],
    [
      'llama-3.1-8b',
      '1x16GB',
      { contextLength: 32_768, maxSequences: 4 },
      /^does not fit: weights and KV cache of 4 sequences of 32768 tokens need 39\.\d GiB, .*\n.*^nodes of 16\.0 GiB: 4 are enough for 4 seq/ms,
    ],
    [
      'llama-3.1-70b',
      '200x1GB',
      {},
      /^does not fit: layer \d+ and the output head alone need .*\n.*no number of them is enough$/ms,
    ],
  ])('names what does not fit: %s on %s', (id, nodes, wanted, message) => {
    expect(text(id, nodes, wanted)).toMatch(message);
  });

  it('answers programs in JSON', () => {
    const info = catalogueModelInfo(findCatalogueModel('tinyllama-1.1b')!);
    const model = { info, described: 'Q4_K_M' };
    const report = sizingReport(model, sizePipeline(info, parseNodeKinds('1x8GB'), {}));
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({
      model: 'tinyllama-1.1b',
      context_length: 2048,
      stages: [{ node: 'node-1', layers: [0, 22] }],
      shortage: null,
      fewest_nodes: [{ memory_bytes: 8 * GIB, nodes: 1 }],
    });
    expect(sizingReport(model, sizePipeline(info, parseNodeKinds('0.1GB'), {}))).toMatchObject({
      stages: [],
      shortage: { part: 'weights' },
    });
  });

  it.each([
    [{ nodes: '1x8GB', context: '0' }, '--context 0: allowed: an integer from 1 to 512'],
    [{ nodes: '1x8GB', context: '1000' }, '--context 1000: allowed: an integer from 1 to 512'],
    [{ nodes: '1x8GB', sequences: 'many' }, '--sequences many: allowed: an integer from 1 to 1024'],
  ])('refuses %o', async (flags, message) => {
    await expect(planModel(NANO, flags)).rejects.toThrow(message);
  });
});
