import { Controller, Inject } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type { ExplainPlanResponse, GetClusterResponse } from '@pangalactic/contracts';
import { explainPlan, viewCluster } from '@pangalactic/scheduler';
import { CLOCK, type Clock } from '../clock';
import { Reconciler } from './reconciler';

@Controller()
export class ClusterController {
  constructor(
    private readonly reconciler: Reconciler,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @GrpcMethod('HubService', 'GetCluster')
  getCluster(): GetClusterResponse {
    const { clusterId } = this.reconciler.leadership;
    return { clusterId, ...viewCluster(this.reconciler.state, this.clock.now()) };
  }

  @GrpcMethod('HubService', 'ExplainPlan')
  explainPlan(): ExplainPlanResponse {
    return { plans: explainPlan(this.reconciler.state) };
  }
}
