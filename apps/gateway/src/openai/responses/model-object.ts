/** A model that a pipeline serves now. */
export interface ServedModel {
  readonly id: string;
  /** Unix seconds at which its oldest pipeline became ready. */
  readonly readyAt: number;
  /** Tokens of prompt and completion together. */
  readonly contextLength: number;
}

export function modelObject({ id, readyAt, contextLength }: ServedModel): object {
  return { id, object: 'model', created: readyAt, owned_by: 'pangalactic', max_model_len: contextLength };
}

export function modelList(models: readonly ServedModel[]): object {
  return { object: 'list', data: models.map(modelObject) };
}
