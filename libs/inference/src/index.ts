export * from './inference-provider';
export * from './batching/batch-scheduler';
export * from './batching/batch-scheduler.types';
export { completionLimit } from './batching/sequence';
export * from './mock/mock-provider';
export type { MockOptions } from './mock/mock-shard';
export * from './transformers/transformers-provider';
