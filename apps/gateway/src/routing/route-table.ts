import type { ModelSummary, Route, WatchRoutesResponse } from '@pangalactic/contracts';

/** A READY pipeline, as far as a gateway needs to know it. */
export interface PipelineRoute {
  readonly pipelineId: string;
  readonly modelId: string;
  /** Of the weights. */
  readonly fingerprint: string;
  /** Tokens a sequence may hold. */
  readonly contextLength: number;
  /** Sequences that run at once; more wait at the head. */
  readonly maxSequences: number;
  /** Unix seconds. */
  readonly readyAt: number;
  /** Of the stages in order; the first one is the head's. */
  readonly addresses: readonly [string, ...string[]];
}

/** What the hub said last: the models that it runs or would load, and the pipelines that can serve. Immutable. */
export class RouteTable {
  private readonly routesByModel = new Map<string, PipelineRoute[]>();
  private readonly modelsById: ReadonlyMap<string, ModelSummary>;

  constructor(
    readonly routes: readonly PipelineRoute[],
    readonly models: readonly ModelSummary[],
  ) {
    this.modelsById = new Map(models.map((model) => [model.id, model]));
    for (const route of routes) {
      const others = this.routesByModel.get(route.modelId);
      if (others) others.push(route);
      else this.routesByModel.set(route.modelId, [route]);
    }
  }

  /** Leaves out routes that cannot be used: the hub may be of another version. */
  static fromMessage(message: WatchRoutesResponse): RouteTable {
    return new RouteTable(
      message.routes.flatMap((route) => pipelineRoute(route) ?? []),
      message.models,
    );
  }

  /** Models with a READY pipeline, in alphabetical order. */
  get readyModels(): string[] {
    return [...this.routesByModel.keys()].sort();
  }

  /** Whether somebody means a model to run, other than the clients that ask for it. */
  get hasDeployments(): boolean {
    return this.models.some(({ origin }) => origin !== '' && origin !== 'REQUEST');
  }

  model(modelId: string): ModelSummary | undefined {
    return this.modelsById.get(modelId);
  }

  routesOf(modelId: string): readonly PipelineRoute[] {
    return this.routesByModel.get(modelId) ?? [];
  }

  knows(modelId: string): boolean {
    return this.modelsById.has(modelId) || this.routesByModel.has(modelId);
  }

  usesAddress(address: string): boolean {
    return this.routes.some((route) => route.addresses.includes(address));
  }
}

function pipelineRoute({ pipeline, readyAt }: Route): PipelineRoute | undefined {
  const [head, ...others] = pipeline?.stages ?? [];
  if (!pipeline || !head) return undefined;
  return {
    pipelineId: pipeline.id,
    modelId: pipeline.modelId,
    fingerprint: pipeline.fingerprint,
    contextLength: pipeline.contextLength,
    maxSequences: pipeline.maxSequences,
    readyAt,
    addresses: [head.address, ...others.map((stage) => stage.address)],
  };
}
