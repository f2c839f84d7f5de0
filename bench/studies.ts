import { measureActivationFormats } from './activation-formats';
import { measureFailover } from './failover';
import { measureGatewayCost } from './gateway-cost';
import { measureHubScale } from './hub-scale';
import { measureSampling } from './sampling';

/** Measurements behind a decision record or a promise, by name. */
export const STUDIES: Readonly<Record<string, (rounds: number) => object | Promise<object>>> = {
  'activation-formats': measureActivationFormats,
  failover: measureFailover,
  'gateway-cost': measureGatewayCost,
  'hub-scale': measureHubScale,
  sampling: measureSampling,
};
