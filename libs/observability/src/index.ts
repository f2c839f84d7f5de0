export { loggingModule } from './logging.module';
export { createMetrics, readOnScrape, type Metrics, type Sample } from './metrics/create-metrics';
export { GATEWAY_METRICS } from './metrics/gateway-metrics';
export { HUB_METRICS } from './metrics/hub-metrics';
export { metricsModule } from './metrics/metrics.module';
export { NODE_METRICS } from './metrics/node-metrics';
export { METRIC_CATALOGUE } from './metrics/catalogue';
export { REQUEST_ID_HEADER, requestIdFrom } from './request-id';
