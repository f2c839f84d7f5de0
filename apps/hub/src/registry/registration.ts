import { parseAddress } from '@pangalactic/config';
import {
  INVENTORY_LIMITS,
  isModelId,
  PangalacticError,
  ShardState,
  type Inventory,
  type ModelInfo,
  type NodeSessionRequest,
  type Register,
  type ShardStatus,
} from '@pangalactic/contracts';
import { activationCodec } from '@pangalactic/transport';

/** As NODE_ID allows; also a valid part of a key of the state repository. */
const NODE_ID = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
/** Bounds what one node can make the hub remember. */
const MAX_SHARDS = 1_000;
const MAX_TEXT_LENGTH = 255;

const REPORTABLE_STATES = [
  ShardState.SHARD_STATE_LOADING,
  ShardState.SHARD_STATE_READY,
  ShardState.SHARD_STATE_BROKEN,
  ShardState.SHARD_STATE_GONE,
];

export interface Registration extends Register {
  readonly inventory: Inventory;
}

/** The first message of a session, checked. @throws PangalacticError `invalid_request` */
export function readRegistration({ register }: NodeSessionRequest): Registration {
  if (!register) throw invalid('the first message of a node session must be Register');
  const { nodeId, address, memoryBytes, computeType, version, shards, activationFormat } = register;
  const { inventory = { models: [], rejected: [] } } = register;
  if (!NODE_ID.test(nodeId)) {
    throw invalid(`node_id ${JSON.stringify(nodeId)}: allowed: 1 to 253 letters, digits, dots, hyphens, underscores`);
  }
  if (!parseAddress(address)) throw invalid(`address ${JSON.stringify(address)} of ${nodeId}: allowed: host:port`);
  checkLengths({ address, compute_type: computeType, version });
  if (!(memoryBytes > 0)) throw invalid(`memory_bytes ${memoryBytes} of ${nodeId}: allowed: more than 0`);
  if (shards.length > MAX_SHARDS) throw invalid(`${shards.length} shards on ${nodeId}: allowed: ${MAX_SHARDS}`);
  // The planner picks from what the nodes allow, so what nobody can speak must not come in.
  activationCodec(activationFormat);
  shards.forEach(checkShardStatus);
  checkInventory(inventory);
  return { ...register, inventory };
}

export function checkShardStatus(status: ShardStatus): void {
  const { pipelineId, fault } = status;
  if (pipelineId === '') throw invalid('pipeline_id of a shard status is empty');
  checkLengths({ pipeline_id: pipelineId, node_id: fault?.nodeId ?? '', noticed_by: fault?.noticedBy ?? '' });
  if (!REPORTABLE_STATES.includes(status.state)) {
    throw invalid(`state ${status.state} of a shard of ${status.pipelineId}: allowed: LOADING, READY, BROKEN, GONE`);
  }
}

/** The planner counts with these numbers, so a model that does not add up would break more than its own node. */
export function checkInventory({ models, rejected }: Inventory): void {
  const count = models.length + rejected.length;
  if (count > INVENTORY_LIMITS.models) throw invalid(`${count} models: allowed: ${INVENTORY_LIMITS.models}`);
  models.forEach(checkModel);
}

function checkModel(model: ModelInfo): void {
  const { id, fingerprint, layers, layerBytes } = model;
  const { layers: mostLayers, modelIdBytes } = INVENTORY_LIMITS;
  if (!isModelId(id)) throw invalid(`model ${JSON.stringify(id)}: allowed: an id of up to ${modelIdBytes} bytes`);
  if (fingerprint === '') throw invalid(`model ${id}: its fingerprint is empty`);
  checkLengths({ fingerprint });
  if (layers < 1 || layers > mostLayers) throw invalid(`model ${id}: ${layers} layers: allowed: 1 to ${mostLayers}`);
  if (layerBytes.length !== layers) {
    throw invalid(`model ${id}: ${layerBytes.length} layer_bytes for ${layers} layers`);
  }
  const counts = ['hiddenSize', 'vocabSize', 'contextLength', 'heads', 'kvHeads', 'headSize'] as const;
  const zero = counts.find((name) => model[name] < 1);
  if (zero) throw invalid(`model ${id}: ${zero} ${model[zero]}: allowed: 1 or more`);
}

function checkLengths(texts: Readonly<Record<string, string>>): void {
  for (const [name, { length }] of Object.entries(texts)) {
    if (length > MAX_TEXT_LENGTH) throw invalid(`${name} of ${length} characters: allowed: ${MAX_TEXT_LENGTH}`);
  }
}

function invalid(message: string): PangalacticError {
  return new PangalacticError('invalid_request', message);
}
