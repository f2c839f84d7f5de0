export { loggingModule } from './logging.module';
export { metricsModule } from './metrics.module';
export { REQUEST_ID_HEADER, requestIdFrom } from './request-id';
