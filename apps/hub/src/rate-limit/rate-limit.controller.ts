import { Controller } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type { LeasePermitsRequest, LeasePermitsResponse } from '@pangalactic/contracts';
import { RateLimit } from './rate-limit';

@Controller()
export class RateLimitController {
  constructor(private readonly rateLimit: RateLimit) {}

  @GrpcMethod('HubService', 'LeasePermits')
  leasePermits(request: LeasePermitsRequest): Promise<LeasePermitsResponse> {
    return this.rateLimit.lease(request);
  }
}
