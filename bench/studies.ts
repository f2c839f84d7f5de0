import { measureActivationFormats } from './activation-formats';
import { measureFailover } from './failover';
import { measureHubScale } from './hub-scale';
import { measureSampling } from './sampling';

/** Measurements behind a decision record or a promise, by name. */
export const STUDIES: Readonly<Record<string, (rounds: number) => object | Promise<object>>> = {
  'activation-formats': measureActivationFormats,
  failover: measureFailover,
  'hub-scale': measureHubScale,
  sampling: measureSampling,
};
