/** A model that is served, or that is loaded for whoever asks for it. */
export interface AdvertisedModel {
  readonly id: string;
  /** READY, or else why a request for it has to wait: as in ModelView. */
  readonly state: string;
  /** Unix seconds at which its oldest pipeline became ready; 0 while there is none. */
  readonly readyAt: number;
  /** Tokens of prompt and completion together; before it is loaded, the most that it can have. */
  readonly contextLength: number;
}

export function modelObject({ id, state, readyAt, contextLength }: AdvertisedModel): object {
  return { id, object: 'model', created: readyAt, owned_by: 'pangalactic', max_model_len: contextLength, state };
}

export function modelList(models: readonly AdvertisedModel[]): object {
  return { object: 'list', data: models.map(modelObject) };
}
