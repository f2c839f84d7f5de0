import { CATALOGUE } from '@pangalactic/models';
import { table } from '../cluster/cluster-tables';
import { fileSize } from './file-size';

/** What `model catalogue --json` prints. */
export function catalogueReport(): readonly object[] {
  return CATALOGUE.map((model) => ({
    id: model.id,
    repository: model.repository,
    file: model.file,
    file_bytes: model.fileBytes,
    sha256: model.sha256 ?? null,
    licence: model.licence,
    quantisation: model.quantisation,
    architecture: model.shape.architecture,
    layers: model.shape.layers,
    context_length: model.contextLength,
  }));
}

export function catalogueTable(): string {
  const head = ['id', 'file', 'layers', 'context', 'quantisation', 'licence', 'from'];
  const rows = CATALOGUE.map((model) => [
    model.id,
    // Without a hash the size is computed from the shape; the server says what it really is.
    `${model.sha256 === undefined ? '~' : ''}${fileSize(model.fileBytes)}`,
    String(model.shape.layers),
    String(model.contextLength),
    model.quantisation,
    model.licence,
    `hf:${model.repository}`,
  ]);
  return table(head, rows, 'no model');
}
