import { PangalacticError, type LayerRange } from '@pangalactic/contracts';

/** Layers that must run on that node, in every replica. */
export interface StagePin {
  readonly nodeId: string;
  readonly layers: LayerRange;
}

/** What is wanted of a model. */
export interface DeploymentSpec {
  readonly modelId: string;
  /** Pipelines that serve it at once. 0: none runs, although the model is in HUB_MODELS. */
  readonly replicas: number;
  /** Of each pipeline. 0: the planner decides. */
  readonly stages: number;
  /** Tokens a sequence may hold. undefined: the planner decides. */
  readonly contextLength?: number | undefined;
  /** KV slots of each pipeline. undefined: the planner decides. */
  readonly maxSequences?: number | undefined;
  /** All stages in order, or none: then the planner decides. */
  readonly pins: readonly StagePin[];
}

const MAX_NODE_ID_LENGTH = 253;
/** Bounds what one wish can make the hub plan. */
const LIMITS = {
  replicas: [0, 64],
  stages: [0, 1024],
  contextLength: [1, 1_048_576],
  maxSequences: [1, 1024],
} as const;

/**
 * @param layers of the model, where a node has reported it
 * @throws PangalacticError `invalid_request` that names the value and what is allowed
 */
export function checkDeployment(spec: DeploymentSpec, layers?: number): void {
  for (const [field, [least, most]] of Object.entries(LIMITS)) {
    const value = spec[field as keyof typeof LIMITS];
    if (value !== undefined && !(Number.isInteger(value) && value >= least && value <= most)) {
      throw invalid(spec, `${field} ${value}: allowed: an integer from ${least} to ${most}`);
    }
  }
  if (spec.pins.length > 0) checkPins(spec, layers);
  if (layers !== undefined && spec.stages > layers) {
    throw invalid(spec, `${spec.stages} stages: allowed: one for each of its ${layers} layers at most`);
  }
}

function checkPins(spec: DeploymentSpec, layers: number | undefined): void {
  const { pins, stages } = spec;
  if (stages !== 0 && stages !== pins.length) {
    throw invalid(
      spec,
      `${stages} stages and ${pins.length} pins: allowed: a pin for each stage, or no number of stages`,
    );
  }
  const nodes = new Set<string>();
  let next = 0;
  for (const pin of pins) {
    const { nodeId, layers: range } = pin;
    if (nodeId.length < 1 || nodeId.length > MAX_NODE_ID_LENGTH) {
      throw invalid(spec, `a pin on a node id of ${nodeId.length}: allowed: 1 to ${MAX_NODE_ID_LENGTH} characters`);
    }
    if (nodes.has(nodeId)) throw invalid(spec, `two pins on ${nodeId}: allowed: one stage per node`);
    nodes.add(nodeId);
    if (!Number.isInteger(range.to) || range.from !== next || range.to <= range.from) {
      throw invalid(spec, `pin ${pinText(pin)}: allowed: a range that starts at layer ${next} and is not empty`);
    }
    next = range.to;
  }
  if (layers !== undefined && next !== layers) {
    throw invalid(spec, `pins cover ${next} layers: allowed: exactly the ${layers} that it has`);
  }
}

/** As the command line takes it, with the last layer included: `node-1=0-11`. */
export function pinText({ nodeId, layers }: StagePin): string {
  return `${nodeId}=${layers.from}-${layers.to - 1}`;
}

function invalid({ modelId }: DeploymentSpec, message: string): PangalacticError {
  return new PangalacticError('invalid_request', `deployment of ${modelId}: ${message}`);
}
