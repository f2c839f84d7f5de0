import { makeCounterProvider, makeGaugeProvider, makeHistogramProvider } from '@willsoto/nestjs-prometheus';

/** Meanings as in vLLM's metrics of the same names. */
export const REQUESTS = 'pangalactic_http_requests_total';
export const REQUESTS_WAITING = 'pangalactic_num_requests_waiting';
export const REQUESTS_RUNNING = 'pangalactic_num_requests_running';
export const TIME_TO_FIRST_TOKEN = 'pangalactic_time_to_first_token_seconds';
export const INTER_TOKEN_LATENCY = 'pangalactic_inter_token_latency_seconds';
export const E2E_REQUEST_LATENCY = 'pangalactic_e2e_request_latency_seconds';
export const PROMPT_TOKENS = 'pangalactic_prompt_tokens_total';
export const GENERATION_TOKENS = 'pangalactic_generation_tokens_total';
export const REQUEST_SUCCESS = 'pangalactic_request_success_total';
export const REQUEST_RESUMES = 'pangalactic_request_resumes_total';
export const RESUME_PAUSE = 'pangalactic_request_resume_pause_seconds';

// Buckets of OpenTelemetry's generative AI conventions.
const FIRST_TOKEN_BUCKETS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const DURATION_BUCKETS = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power);

/** A model's name becomes a label only once the hub has routed it, so the set of labels is bounded. */
const BY_MODEL = ['model'];

export const METRIC_PROVIDERS = [
  makeCounterProvider({
    name: REQUESTS,
    help: 'HTTP requests by route pattern and status; 499: the client left before the end',
    labelNames: ['method', 'route', 'status'],
  }),
  makeGaugeProvider({ name: REQUESTS_WAITING, help: 'Generations waiting for a place on a pipeline' }),
  makeGaugeProvider({ name: REQUESTS_RUNNING, help: 'Generations that have a place on a pipeline' }),
  makeHistogramProvider({
    name: TIME_TO_FIRST_TOKEN,
    help: 'Seconds from the arrival of a request to its first token',
    labelNames: BY_MODEL,
    buckets: FIRST_TOKEN_BUCKETS,
  }),
  makeHistogramProvider({
    name: INTER_TOKEN_LATENCY,
    help: 'Seconds between consecutive tokens of a sequence',
    labelNames: BY_MODEL,
    buckets: TOKEN_BUCKETS,
  }),
  makeHistogramProvider({
    name: E2E_REQUEST_LATENCY,
    help: 'Seconds from the arrival of a request to its end, for requests that got a place',
    labelNames: BY_MODEL,
    buckets: DURATION_BUCKETS,
  }),
  makeCounterProvider({ name: PROMPT_TOKENS, help: 'Prompt tokens accepted', labelNames: BY_MODEL }),
  makeCounterProvider({ name: GENERATION_TOKENS, help: 'Completion tokens received', labelNames: BY_MODEL }),
  makeCounterProvider({
    name: REQUEST_SUCCESS,
    help: 'Generations that finished, by reason',
    labelNames: [...BY_MODEL, 'finished_reason'],
  }),
  makeCounterProvider({
    name: REQUEST_RESUMES,
    help: 'Times that a generation went on after its pipeline was lost',
    labelNames: BY_MODEL,
  }),
  makeHistogramProvider({
    name: RESUME_PAUSE,
    help: 'Seconds from the loss of the pipeline of a running generation to its next token',
    labelNames: BY_MODEL,
    buckets: DURATION_BUCKETS,
  }),
];
