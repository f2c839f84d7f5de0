import { describe, expect, it } from 'vitest';
import { parseModelSource } from './model-source';

const HUB = 'https://huggingface.co';

describe('parseModelSource', () => {
  it.each([
    [
      'tinyllama-1.1b',
      'tinyllama-1.1b',
      `${HUB}/TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF/resolve/main/tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf`,
    ],
    ['hf:owner/name/model-Q4_0.gguf', 'model-Q4_0', `${HUB}/owner/name/resolve/main/model-Q4_0.gguf`],
    ['hf:owner/name/sub dir/a#b.gguf', undefined, `${HUB}/owner/name/resolve/main/sub%20dir/a%23b.gguf`],
    [
      'https://example.com/files/small.gguf?download=true',
      'small',
      'https://example.com/files/small.gguf?download=true',
    ],
    ['http://127.0.0.1:8000/small.gguf', 'small', 'http://127.0.0.1:8000/small.gguf'],
  ])('%s', (text, id, url) => {
    const source = parseModelSource(text, HUB, id === undefined ? 'named' : undefined);
    expect({ id: source.id, url: source.url.href }).toEqual({ id: id ?? 'named', url });
  });

  it('takes the name that it is given', () => {
    expect(parseModelSource('hf:owner/name/model.gguf', HUB, 'my-model')).toMatchObject({
      id: 'my-model',
      file: 'model.gguf',
    });
  });

  it('works with a mirror under a path', () => {
    const { url } = parseModelSource('hf:owner/name/model.gguf', 'https://mirror.example/hf');
    expect(url.href).toBe('https://mirror.example/hf/owner/name/resolve/main/model.gguf');
  });

  it.each([
    ['tinylama', /no model "tinylama": allowed: smollm2-135m, .*tinyllama-1.1b.*; hf:owner\/name\/file.gguf/],
    ['hf:name/model.gguf', /allowed: hf:owner\/name\/file.gguf/],
    ['hf:owner/name', /allowed: hf:owner\/name\/file.gguf/],
    ['hf:owner/../name/model.gguf', /allowed: hf:owner\/name\/file.gguf/],
    ['hf:owner/name/../../model.gguf', /allowed: hf:owner\/name\/file.gguf/],
    ['hf:owner/name/.hidden.gguf', /is not the name of a GGUF file/],
    ['hf:owner/name/model-00001-of-00002.gguf', /is one part of a split model.*merge the parts with llama-gguf-split/],
    ['hf:owner/name/model.safetensors', /is not the name of a GGUF file/],
    ['hf:owner/name/modèle.gguf', /cannot be a model id .*use --id/],
    ['https://example.com/', /is not the name of a GGUF file/],
    ['https://exa mple/a.gguf', /is not a URL/],
    ['https://example.com/..%2F..%2Fetc%2Fpasswd', /passwd is not the name of a GGUF file/],
  ])('refuses %s', (text, message) => {
    expect(() => parseModelSource(text, HUB)).toThrow(message);
  });

  it('refuses an id that would leave the folder', () => {
    expect(() => parseModelSource('hf:owner/name/model.gguf', HUB, '../model')).toThrow(/cannot be a model id/);
  });
});
