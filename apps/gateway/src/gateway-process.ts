import { loadGatewayConfig } from '@pangalactic/config';
import type { GatewayConfig } from '@pangalactic/config';
import type { ProcessSettings } from '@pangalactic/lifecycle';
import { GatewayModule } from './gateway.module';

/** A prompt of 128,000 tokens as a JSON array of ids. Parsing holds up the event loop: 1 ms for text, 40 for the worst. */
const MAX_BODY_BYTES = 1024 * 1024;

export const GATEWAY_PROCESS: ProcessSettings<GatewayConfig> = {
  name: 'gateway',
  loadConfig: loadGatewayConfig,
  createModule: (config) => GatewayModule.forRoot(config),
  http: (config) => ({
    address: config.bindAddress,
    variable: 'GATEWAY_BIND_ADDR',
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: 'idle',
  }),
  drain: ({ drainDelayMs }) => ({ delayMs: drainDelayMs }),
};
