import type { LayerRange } from '@pangalactic/contracts';

/**
 * Names of the graph's inputs and outputs. T tokens are flat in one [T, hidden] matrix; attention alone sees lanes
 * [B, S]: B neighbouring KV slots with S new tokens each.
 */
export const INPUT = {
  /** [T, hidden] float32 */
  hidden: 'hidden',
  /** [B, S] int64: the token of each lane position; an idle lane names any token */
  laneTokens: 'lane_tokens',
  /** [T] int64: the lane position of each token */
  tokenLanes: 'token_lanes',
  /** [B] int32: valid tokens of each slot after this run, minus one */
  lastPositions: 'last_positions',
  /** [1] int32: the largest number of valid tokens after this run */
  longest: 'longest',
  /** [R] int64, tail only: the tokens to compute logits for */
  logitTokens: 'logit_tokens',
} as const;

export const OUTPUT = { hidden: 'hidden_out', logits: 'logits', sentinel: 'sentinel' } as const;

/** [B, kvHeads, positions, headSize] float32, one pair per layer. */
export const kvNames = (layer: number) => ({
  pastKey: `past_key.${layer}`,
  pastValue: `past_value.${layer}`,
  presentKey: `present_key.${layer}`,
  presentValue: `present_value.${layer}`,
});

/** Input and output of all keys and values of a layer range. */
export function kvPairs({ from, to }: LayerRange): { readonly past: string; readonly present: string }[] {
  return Array.from({ length: to - from }, (_, index) => kvNames(from + index)).flatMap((names) => [
    { past: names.pastKey, present: names.presentKey },
    { past: names.pastValue, present: names.presentValue },
  ]);
}
