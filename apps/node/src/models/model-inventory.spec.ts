import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { loadNodeConfig } from '@pangalactic/config';
import { repositoryRoot } from '@pangalactic/contracts';
import { inspectModel } from '@pangalactic/models';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { headerChunks } from './header-chunks';
import { ModelInventory } from './model-inventory.service';

Logger.overrideLogger(false);

const MODEL = join(repositoryRoot(), 'models/pangalactic-nano.gguf');

describe('ModelInventory', () => {
  let directory: string;
  let inventory: ModelInventory;
  let changes: number;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pangalactic-models-'));
    inventory = new ModelInventory(loadNodeConfig({ NODE_MODEL_DIR: directory }));
    changes = 0;
    inventory.onChange(() => (changes += 1));
    await inventory.onModuleInit();
  });
  afterEach(async () => {
    inventory.onApplicationShutdown();
    await rm(directory, { recursive: true });
  });

  it('finds models that come later, and tells only when something changed', async () => {
    await inventory.rescan();
    expect(changes).toBe(1);
    await copyFile(MODEL, join(directory, 'nano.gguf'));
    await inventory.rescan();
    expect(changes).toBe(2);
    expect(inventory.inventory.models.map(({ id }) => id)).toEqual(['nano']);
  });

  it('names files that cannot be served, and stays up', async () => {
    await writeFile(join(directory, 'broken.gguf'), 'GGUF, but not really');
    await inventory.rescan();
    expect(inventory.inventory.models).toEqual([]);
    expect(inventory.inventory.rejected).toHaveLength(1);
    expect(inventory.inventory.rejected[0]?.file).toMatch(/broken\.gguf$/);
  });

  it('names a file whose text no gateway can encode, and serves the others', async () => {
    await copyFile(MODEL, join(directory, 'nano.gguf'));
    const other = await readFile(MODEL);
    const key = 'tokenizer.ggml.model';
    // Behind the key stand the value's type, 4 bytes, and its length, 8 bytes.
    expect(other.write('gpt-2', other.indexOf(key) + key.length + 12)).toBe('llama'.length);
    await writeFile(join(directory, 'other.gguf'), other);
    await inventory.rescan();
    expect(inventory.inventory.models.map(({ id }) => id)).toEqual(['nano']);
    const file = join(directory, 'other.gguf');
    const reason = `${file}: tokenizer.ggml.model is "gpt-2": allowed: llama, gpt2`;
    expect(inventory.inventory.rejected).toEqual([{ file, reason }]);
    await expect(inspectModel('other', file)).rejects.toMatchObject({ code: 'unsupported_tokenizer' });
  });

  it('looks again before it says that a model is not there', async () => {
    await copyFile(MODEL, join(directory, 'nano.gguf'));
    const other = new ModelInventory(loadNodeConfig({ NODE_MODEL_DIR: directory }));
    await other.rescan();
    const fingerprint = other.inventory.models[0]?.fingerprint ?? '';
    expect((await inventory.locate(fingerprint)).description.layers).toBeGreaterThan(1);
    await expect(inventory.locate('unknown')).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('finds a model while another scan is under way', async () => {
    const fingerprint = (await inspectModel('nano', MODEL)).fingerprint;
    await copyFile(MODEL, join(directory, 'nano.gguf'));
    const [, located] = await Promise.all([inventory.rescan(), inventory.locate(fingerprint)]);
    expect(located.path).toBe(join(directory, 'nano.gguf'));
    expect(changes).toBe(2);
  });

  it('scans once for all who ask while a scan is under way', async () => {
    const first = inventory.rescan();
    await Promise.resolve();
    const others = [inventory.rescan(), inventory.rescan()];
    expect(others[0]).not.toBe(first);
    expect(others[1]).toBe(others[0]);
    await Promise.all([first, ...others]);
  });

  it('is empty without its directory', async () => {
    const missing = new ModelInventory(loadNodeConfig({ NODE_MODEL_DIR: join(directory, 'nowhere') }));
    await missing.rescan();
    expect(missing.inventory.models).toEqual([]);
  });
});

describe('headerChunks', () => {
  it('cuts a header into messages of at most 256 KiB', () => {
    const bytes = Buffer.from(Uint8Array.from({ length: 600_000 }, (_, index) => index % 251));
    const chunks = [...headerChunks(bytes)].map(({ data }) => data);
    expect(chunks.map((chunk) => chunk.length)).toEqual([262_144, 262_144, 75_712]);
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });
});
