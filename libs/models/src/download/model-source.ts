import { basename } from 'node:path/posix';
import { PangalacticError } from '@pangalactic/contracts';
import { CATALOGUE, findCatalogueModel } from '../catalogue/catalogue';

/** Where a model comes from and what it will be called. */
export interface ModelSource {
  /** Its folder, hence the name under which nodes report it. */
  readonly id: string;
  /** Without a path. */
  readonly file: string;
  readonly url: URL;
  /** owner/name, if it comes from Hugging Face. */
  readonly repository?: string;
  /** What the file must be, as far as that is known before asking for it. */
  readonly expected: { readonly bytes?: number; readonly sha256?: string };
}

const MODEL_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** Hugging Face allows these in names; more would let a name change the path of the URL. */
const REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*$/;
const PART_OF_SPLIT = /-\d{5}-of-\d{5}\.gguf$/;
const EXTENSION = '.gguf';

/**
 * @param text a catalogue id, `hf:owner/name/file.gguf` or an http(s) URL of a GGUF file
 * @param endpoint of Hugging Face or a mirror of it, without a slash at the end
 * @param id instead of the file's name without its extension
 * @throws PangalacticError `invalid_request` that says what is allowed
 */
export function parseModelSource(text: string, endpoint: string, id?: string): ModelSource {
  const source = located(text, endpoint);
  const { file } = source;
  if (PART_OF_SPLIT.test(file)) {
    throw invalid(
      `${file} is one part of a split model, which nodes do not load: choose a repository that has it in one file, or ` +
        'merge the parts with llama-gguf-split --merge',
    );
  }
  if (!file.endsWith(EXTENSION) || file.startsWith('.'))
    throw invalid(`${file || text} is not the name of a GGUF file`);
  const name = id ?? source.id;
  if (!MODEL_ID.test(name)) {
    throw invalid(
      `${JSON.stringify(name)} cannot be a model id (letters, digits, dots, hyphens, underscores): use --id`,
    );
  }
  return { ...source, id: name };
}

function located(text: string, endpoint: string): ModelSource {
  if (text.startsWith('hf:')) return onHuggingFace(text, endpoint);
  if (/^https?:\/\//.test(text)) return atUrl(text);
  const model = findCatalogueModel(text);
  if (!model) {
    const ids = CATALOGUE.map((known) => known.id).join(', ');
    throw invalid(`no model ${JSON.stringify(text)}: allowed: ${ids}; hf:owner/name/file.gguf; https://...`);
  }
  const { repository, file, fileBytes, sha256 } = model;
  return {
    id: model.id,
    file,
    repository,
    url: resolveUrl(endpoint, repository, file),
    expected: sha256 === undefined ? {} : { bytes: fileBytes, sha256 },
  };
}

function onHuggingFace(text: string, endpoint: string): ModelSource {
  const [owner, name, ...path] = text.slice('hf:'.length).split('/');
  const repository = `${owner}/${name}`;
  const file = path.join('/');
  if (
    !REPOSITORY.test(repository) ||
    path.length === 0 ||
    path.some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw invalid(`${JSON.stringify(text)}: allowed: hf:owner/name/file.gguf`);
  }
  return { ...named(file), repository, url: resolveUrl(endpoint, repository, file), expected: {} };
}

function atUrl(text: string): ModelSource {
  if (!URL.canParse(text)) throw invalid(`${JSON.stringify(text)} is not a URL`);
  const url = new URL(text);
  return { ...named(decoded(url.pathname)), url, expected: {} };
}

function named(path: string): Pick<ModelSource, 'id' | 'file'> {
  const file = basename(path);
  return { id: basename(file, EXTENSION), file };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function resolveUrl(endpoint: string, repository: string, file: string): URL {
  const path = file.split('/').map(encodeURIComponent).join('/');
  return new URL(`${endpoint}/${repository}/resolve/main/${path}`);
}

function invalid(message: string): PangalacticError {
  return new PangalacticError('invalid_request', message);
}
