import { measureActivationFormats } from './activation-formats';
import { measureHubScale } from './hub-scale';
import { measureSampling } from './sampling';

/** Measurements behind a decision record, by the name of the option `--study`. */
export const STUDIES: Readonly<Record<string, () => object | Promise<object>>> = {
  'activation-formats': measureActivationFormats,
  'hub-scale': measureHubScale,
  sampling: measureSampling,
};
