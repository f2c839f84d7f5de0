import { type LlamaCppPeer, type Prediction, seededRandom } from '@pangalactic/testing';
import type { ForcedModel } from './forced-model';

/** Tokens of each step that are compared: those that can become the answer. */
const COMPARED = 5;

export interface Tolerance {
  /** No log-probability may differ by more. Where the reference's two best are closer than twice that, either may win. */
  readonly largest: number;
  readonly mean: number;
}

/** What llama.cpp predicts while it continues a prompt greedily. */
export interface Continuation {
  readonly promptIds: readonly number[];
  readonly predictions: readonly Prediction[];
  readonly ids: readonly number[];
}

/** One step of a continuation. */
interface ComparedStep {
  /** In log-probability, of the reference's best tokens. */
  readonly differences: readonly number[];
  readonly sameChoice: boolean;
  /** How far apart the reference's two best tokens are. */
  readonly gap: number;
}

export interface Comparison extends Tolerance {
  readonly steps: number;
  /** Of the steps in which another token wins: how far apart the reference's two best tokens are. */
  readonly otherChoices: readonly number[];
}

export async function continueWithLlamaCpp(
  peer: LlamaCppPeer,
  path: string,
  prompts: readonly number[][],
  tokens: number,
): Promise<Continuation[]> {
  const continuations: Continuation[] = [];
  for (const promptIds of prompts) {
    const predictions = await peer.generate(path, promptIds, tokens);
    continuations.push({ promptIds, predictions, ids: predictions.map(({ id }) => id) });
  }
  return continuations;
}

/** A model's log-probabilities at each step of the continuations, which it is forced along. */
export async function forceAlong(model: ForcedModel, continuations: readonly Continuation[]): Promise<Float64Array[]> {
  const rows: Float64Array[] = [];
  for (const { promptIds, ids } of continuations) rows.push(...(await model.logProbabilities(promptIds, ids)));
  return rows;
}

/** @param rows as of forceAlong */
export function compareWithLlamaCpp(continuations: readonly Continuation[], rows: readonly Float64Array[]): Comparison {
  const predictions = continuations.flatMap((continuation) => continuation.predictions);
  const steps = predictions.map((prediction, index) => compare(prediction, rows[index]!));
  const differences = steps.flatMap((step) => step.differences);
  return {
    steps: steps.length,
    largest: Math.max(...differences),
    mean: differences.reduce((a, b) => a + b) / differences.length,
    otherChoices: steps.filter(({ sameChoice }) => !sameChoice).map(({ gap }) => gap),
  };
}

function compare({ id, gap, top }: Prediction, ours: Float64Array): ComparedStep {
  const compared = top.slice(0, COMPARED);
  return {
    differences: compared.map((token) => Math.abs(ours[token.id]! - token.logProbability)),
    sameChoice: ours.every((logProbability) => logProbability <= ours[id]!),
    gap,
  };
}

/** The mean difference in log-probability of the reference's best tokens between two models that went along. */
export function meanDifference(
  continuations: readonly Continuation[],
  left: readonly Float64Array[],
  right: readonly Float64Array[],
): number {
  const tops = continuations.flatMap(({ predictions }) => predictions.map(({ top }) => top.slice(0, COMPARED)));
  const differences = tops.flatMap((top, step) => top.map(({ id }) => Math.abs(left[step]![id]! - right[step]![id]!)));
  return differences.reduce((a, b) => a + b) / differences.length;
}

export function describeComparison({ largest, mean, otherChoices, steps }: Comparison): string {
  return `largest ${largest.toExponential(1)}, mean ${mean.toExponential(1)}, ${otherChoices.length} of ${steps} other`;
}

/** Of growing length. */
export function randomPrompts(count: number, vocabSize: number): number[][] {
  const next = seededRandom(5);
  const ids = (length: number) => Array.from({ length }, () => Math.floor(next() * vocabSize));
  return Array.from({ length: count }, (_, index) => ids(6 + 5 * index));
}
