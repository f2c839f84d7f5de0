import { Injectable } from '@nestjs/common';
import { InjectMetric } from '@willsoto/nestjs-prometheus';
import { Counter, Gauge, Histogram } from 'prom-client';
import { GenerationMeasurement } from './generation-measurement';
import {
  E2E_REQUEST_LATENCY,
  GENERATION_TOKENS,
  INTER_TOKEN_LATENCY,
  PROMPT_TOKENS,
  REQUEST_RESUMES,
  REQUEST_SUCCESS,
  REQUESTS_RUNNING,
  REQUESTS_WAITING,
  RESUME_PAUSE,
  TIME_TO_FIRST_TOKEN,
} from './metric-providers';

@Injectable()
export class GatewayMetrics {
  constructor(
    @InjectMetric(REQUESTS_WAITING) readonly waiting: Gauge,
    @InjectMetric(REQUESTS_RUNNING) readonly running: Gauge,
    @InjectMetric(TIME_TO_FIRST_TOKEN) readonly timeToFirstToken: Histogram<'model'>,
    @InjectMetric(INTER_TOKEN_LATENCY) readonly interTokenLatency: Histogram<'model'>,
    @InjectMetric(E2E_REQUEST_LATENCY) readonly endToEndLatency: Histogram<'model'>,
    @InjectMetric(PROMPT_TOKENS) readonly promptTokens: Counter<'model'>,
    @InjectMetric(GENERATION_TOKENS) readonly generationTokens: Counter<'model'>,
    @InjectMetric(REQUEST_SUCCESS) readonly success: Counter<'model' | 'finished_reason'>,
    @InjectMetric(REQUEST_RESUMES) readonly resumes: Counter<'model'>,
    @InjectMetric(RESUME_PAUSE) readonly resumePause: Histogram<'model'>,
  ) {}

  /** A generation has arrived and waits for a place. */
  begin(model: string): GenerationMeasurement {
    return new GenerationMeasurement(this, model);
  }
}
