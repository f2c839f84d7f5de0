import type { ChannelOptions } from '@grpc/grpc-js';

/** Largest message either side sends or accepts: a prefill chunk of 128 tokens by 16,384 float32 is 8 MiB. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/**
 * Keepalive only cleans up after a machine that vanished; liveness is decided by heartbeats and step deadlines. It is
 * slow on purpose: grpc-js drops accepted calls when a ping goes unanswered after the server's GOAWAY.
 */
const KEEPALIVE: ChannelOptions = {
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
};

const MESSAGE_LIMITS: ChannelOptions = {
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
};

export const SERVER_OPTIONS: ChannelOptions = { ...KEEPALIVE, ...MESSAGE_LIMITS };

export const CLIENT_OPTIONS: ChannelOptions = {
  ...KEEPALIVE,
  ...MESSAGE_LIMITS,
  // The default grows to two minutes: a restarted peer would stay unreachable that long.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // Each client owns its connection, so that closing one never disturbs another to the same address.
  'grpc.use_local_subchannel_pool': 1,
  // Cluster traffic never goes through a proxy of the environment, nor asks DNS for a service configuration.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // Retries are the caller's decision; and without this buffer a write is only done when the transport took it.
  'grpc.enable_retries': 0,
  'grpc.per_rpc_retry_buffer_size': 0,
};
