import { counter, gauge, histogram } from './metric-definition';
import { HUB_CLIENT_METRICS } from './process-metrics';

const STEP_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const HOP_BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

const BY_PIPELINE = ['model', 'pipeline'] as const;
const BY_STAGE = [...BY_PIPELINE, 'stage'] as const;

export const NODE_METRICS = {
  steps: histogram(
    'pangalactic_node_step_duration_seconds',
    'Compute time of a step on this stage, without queueing.',
    STEP_BUCKETS_SECONDS,
    [...BY_STAGE, ...(['phase'] as const)],
  ),
  hopTransfer: histogram(
    'pangalactic_node_hop_transfer_seconds',
    'Time per hop of a step, neither computing nor waiting to compute; at the head.',
    HOP_BUCKETS_SECONDS,
    BY_PIPELINE,
  ),
  stageTime: counter(
    'pangalactic_node_pipeline_stage_seconds_total',
    'Time of all stages while steps were in flight; at the head. The bubble share is bubble / (computing + bubble).',
    [...BY_PIPELINE, ...(['time'] as const)],
  ),
  promptTokens: counter(
    'pangalactic_node_prompt_tokens_total',
    'Prompt tokens of the sequences that this head accepted; resumed ones count again.',
  ),
  cachedPromptTokens: counter(
    'pangalactic_node_cached_prompt_tokens_total',
    'Prompt tokens of those that were in the KV already and not computed.',
  ),
  generatedTokens: counter('pangalactic_node_generated_tokens_total', 'Completion tokens that this head sent.'),
  runningSequences: gauge('pangalactic_node_sequences_running', 'Sequences that hold a slot, at the head.'),
  waitingSequences: gauge('pangalactic_node_sequences_waiting', 'Sequences that wait for a slot, at the head.'),
  slotsInUse: gauge('pangalactic_node_slots_in_use', 'KV slots that a sequence holds, on all stages of this node.'),
  kvCacheUsage: gauge(
    'pangalactic_node_kv_cache_usage_perc',
    'KV slots of this stage that a sequence holds, as part of all; 1 is full.',
    BY_STAGE,
  ),
  stageState: gauge(
    'pangalactic_node_stage_state',
    'State of each stage held: 1 loading, 2 ready, 3 broken.',
    BY_STAGE,
  ),
  stageLayers: gauge('pangalactic_node_stage_layers', 'Layers of each stage held: how many, and which as a label.', [
    ...BY_STAGE,
    ...(['layers'] as const),
  ]),
  stageMemory: gauge('pangalactic_node_stage_memory_bytes', 'Memory of each stage held: weights and KV.', BY_STAGE),
  linkRoundTrip: gauge(
    'pangalactic_node_link_round_trip_seconds',
    'Round trip to the node of the next stage, measured when the pipeline was joined.',
    BY_STAGE,
  ),
  linkBandwidth: gauge(
    'pangalactic_node_link_bytes_per_second',
    'Bandwidth to the node of the next stage, measured when the pipeline was joined.',
    BY_STAGE,
  ),
  ...HUB_CLIENT_METRICS,
};
