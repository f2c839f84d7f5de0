import { counter, gauge, histogram } from './metric-definition';
import { HUB_CLIENT_METRICS } from './process-metrics';

// Buckets of OpenTelemetry's generative AI conventions, in seconds.
const FIRST_TOKEN_BUCKETS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const DURATION_BUCKETS = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power);
/** As vLLM's, in tokens. */
const LENGTH_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/** A model's name becomes a label only once a pipeline has accepted the request, so no client can make one up. */
const BY_MODEL = ['model'] as const;

/** Names and meanings are vLLM's wherever it has the metric, with our prefix. */
export const GATEWAY_METRICS = {
  waiting: gauge('pangalactic_num_requests_waiting', 'Generations that wait for a place on a pipeline.'),
  running: gauge('pangalactic_num_requests_running', 'Generations that have a place on a pipeline.'),
  kvCacheUsage: gauge(
    'pangalactic_kv_cache_usage_perc',
    'Places that generations of this gateway have, as part of the KV slots of all READY pipelines; 1 is full.',
  ),
  queueTime: histogram(
    'pangalactic_request_queue_time_seconds',
    'From the arrival of a request to its place on a pipeline.',
    DURATION_BUCKETS,
    BY_MODEL,
  ),
  timeToFirstToken: histogram(
    'pangalactic_time_to_first_token_seconds',
    'From the arrival of a request to its first token.',
    FIRST_TOKEN_BUCKETS,
    BY_MODEL,
  ),
  interTokenLatency: histogram(
    'pangalactic_inter_token_latency_seconds',
    'Between consecutive tokens of a sequence.',
    TOKEN_BUCKETS,
    BY_MODEL,
  ),
  endToEndLatency: histogram(
    'pangalactic_e2e_request_latency_seconds',
    'From the arrival of a request to its end, for requests that got a place.',
    DURATION_BUCKETS,
    BY_MODEL,
  ),
  promptTokens: counter('pangalactic_prompt_tokens_total', 'Prompt tokens of accepted requests.', BY_MODEL),
  generationTokens: counter('pangalactic_generation_tokens_total', 'Completion tokens received.', BY_MODEL),
  promptLength: histogram('pangalactic_request_prompt_tokens', 'Prompt tokens of a request.', LENGTH_BUCKETS, BY_MODEL),
  generationLength: histogram(
    'pangalactic_request_generation_tokens',
    'Completion tokens of a request that finished.',
    LENGTH_BUCKETS,
    BY_MODEL,
  ),
  prefixCacheQueries: counter(
    'pangalactic_prefix_cache_queries_total',
    'Prompt tokens that were looked for in the KV of earlier sequences.',
    BY_MODEL,
  ),
  prefixCacheHits: counter(
    'pangalactic_prefix_cache_hits_total',
    'Prompt tokens of those that were there and not computed again.',
    BY_MODEL,
  ),
  success: counter('pangalactic_request_success_total', 'Generations that finished.', [
    ...BY_MODEL,
    ...(['finished_reason'] as const),
  ]),
  errors: counter(
    'pangalactic_request_errors_total',
    'Requests that were answered with an error, or whose stream ended with one; `rate_limit_exceeded` counts those over the limit.',
    ['code'],
  ),
  resumes: counter(
    'pangalactic_request_resumes_total',
    'Times that a generation went on after its pipeline was lost.',
    BY_MODEL,
  ),
  resumePause: histogram(
    'pangalactic_request_resume_pause_seconds',
    'From the loss of the pipeline of a running generation to its next token.',
    DURATION_BUCKETS,
    BY_MODEL,
  ),
  ...HUB_CLIENT_METRICS,
  vllmWaiting: gauge('vllm:num_requests_waiting', "pangalactic_num_requests_waiting, for llm-d's endpoint picker."),
  vllmRunning: gauge('vllm:num_requests_running', "pangalactic_num_requests_running, for llm-d's endpoint picker."),
  vllmKvCacheUsage: gauge('vllm:kv_cache_usage_perc', "pangalactic_kv_cache_usage_perc, for llm-d's endpoint picker."),
};
