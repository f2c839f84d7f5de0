import { Inject, Injectable } from '@nestjs/common';
import { HUB_CONFIG, type HubConfig } from '@pangalactic/config';
import { PangalacticError, type LoadModelRequest, type ModelInfo, type ModelView } from '@pangalactic/contracts';
import { checkDeployment, viewModel, viewModels, type ClusterState, type DeploymentSpec } from '@pangalactic/scheduler';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from '../cluster/reconciler';
import { Standby } from '../cluster/standby';
import { Wishes } from '../cluster/wishes';
import { unknownModel } from './unknown-model';

/** Takes wishes about models, of operators and of clients that wait for one. */
@Injectable()
export class ModelWishes {
  constructor(
    @Inject(HUB_CONFIG) private readonly config: HubConfig,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    private readonly wishes: Wishes,
  ) {}

  /** @throws PangalacticError `not_leader` */
  async list(): Promise<ModelView[]> {
    return viewModels(await this.leadersState(), this.clock.now());
  }

  /**
   * Resolves when the wish is stored, with what came of it so far.
   * @throws PangalacticError `model_not_found`, `invalid_request`, `not_leader`, `queue_full`, `service_unavailable`
   */
  async load(request: LoadModelRequest): Promise<ModelView> {
    const { modelId, onRequest } = request;
    const state = await this.leadersState();
    const isDeployed = (state.deployments.get(modelId)?.replicas ?? 0) > 0;
    const model = held(modelId, state);
    if (onRequest && !isDeployed && !this.config.autoload) {
      throw new PangalacticError('model_not_found', `${modelId} is not loaded, and HUB_AUTOLOAD is off`);
    }
    // One that is meant to run may be asked for while its nodes are away.
    if (!model && !(onRequest && isDeployed)) throw unknownModel(modelId, state);
    if (onRequest) {
      await this.wishes.take({ kind: 'request', at: this.clock.now(), modelId });
    } else {
      const spec = this.specOf(request);
      checkDeployment(spec, model?.layers);
      await this.wishes.take({ kind: 'deploy', at: this.clock.now(), spec });
    }
    return this.view(modelId);
  }

  /**
   * Resolves when the wish is stored.
   * @throws PangalacticError `model_not_found`, `not_leader`, `queue_full`, `service_unavailable`
   */
  async unload(modelId: string): Promise<ModelView> {
    const state = await this.leadersState();
    if (state.deployments.get(modelId)?.replicas) {
      await this.wishes.take({ kind: 'undeploy', at: this.clock.now(), modelId });
    } else if (!held(modelId, state)) {
      throw unknownModel(modelId, state);
    }
    return this.view(modelId);
  }

  private specOf({ modelId, replicas, stages, contextLength, maxSequences, pins }: LoadModelRequest): DeploymentSpec {
    return {
      modelId,
      replicas: replicas ?? 1,
      // Pins say how many stages there are.
      stages: stages ?? (pins.length > 0 ? 0 : this.config.pipelineStages),
      contextLength,
      maxSequences,
      pins: pins.map(({ nodeId, layers = { from: 0, to: 0 } }) => ({ nodeId, layers })),
    };
  }

  private view(modelId: string): ModelView {
    return viewModel(modelId, this.reconciler.state, this.clock.now());
  }

  private async leadersState(): Promise<ClusterState> {
    if (!this.reconciler.leadership) throw await this.standby.refusal();
    return this.reconciler.state;
  }
}

/** By a node that is connected. */
function held(modelId: string, { nodes }: ClusterState): ModelInfo | undefined {
  const connected = [...nodes.values()].filter(({ state }) => state === 'CONNECTED');
  return connected.flatMap(({ models }) => models).find(({ id }) => id === modelId);
}
