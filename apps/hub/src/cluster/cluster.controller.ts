import { Controller, Inject } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type {
  ExplainPlanResponse,
  GetClusterResponse,
  SetNodeDrainedRequest,
  SetNodeDrainedResponse,
} from '@pangalactic/contracts';
import { explainPlan, viewCluster } from '@pangalactic/scheduler';
import { CLOCK, type Clock } from '../clock';
import { NodeDrain } from './node-drain';
import { Reconciler } from './reconciler';
import { Standby } from './standby';

@Controller()
export class ClusterController {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly standby: Standby,
    private readonly nodeDrain: NodeDrain,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @GrpcMethod('HubService', 'GetCluster')
  async getCluster(): Promise<GetClusterResponse> {
    const { leadership, state } = this.reconciler;
    if (!leadership) return this.standby.cluster();
    return { clusterId: leadership.clusterId, ...viewCluster(state, this.clock.now()) };
  }

  @GrpcMethod('HubService', 'SetNodeDrained')
  async setNodeDrained(request: SetNodeDrainedRequest): Promise<SetNodeDrainedResponse> {
    await this.nodeDrain.set(request);
    return {};
  }

  @GrpcMethod('HubService', 'ExplainPlan')
  async explainPlan(): Promise<ExplainPlanResponse> {
    if (!this.reconciler.leadership) throw await this.standby.refusal();
    return { plans: explainPlan(this.reconciler.state) };
  }
}
