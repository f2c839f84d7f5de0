import { PREFILL_CHUNK_TOKENS } from '@pangalactic/scheduler';
import { attend, multiply } from './gpu-check-runs';

/** What an engine process finds out about the GPU. */
export interface GpuCheck {
  /** Why it can't be used; undefined if it can. */
  readonly failure?: string;
  /** The most new tokens of a sequence that attention is right about, where that is less than a chunk has. */
  readonly maxRunTokens?: number;
}

/** onnxruntime's attention takes another kernel from 32 new tokens on. */
const SHORT_CHUNK = 31;
/** Of the largest value, between two devices that round differently; a wrong lane, position or kernel is far beyond it. */
const ATTENTION_TOLERANCE = 1e-3;
/** Both round the inputs of a product to 8 bits, in groups of different sizes. */
const PRODUCT_TOLERANCE = 0.05;

/**
 * Proves that a GPU can be used: a session opens, the KV cache is written in place there, and attention and products are
 * what the CPU computes. Where attention is wrong about long chunks only, prompts are computed in shorter ones.
 */
export async function checkGpu(): Promise<GpuCheck> {
  try {
    const product = difference(await multiply('cpu'), await multiply('gpu'));
    if (!(product <= PRODUCT_TOLERANCE))
      return { failure: `its products differ from the CPU's by ${percent(product)}` };
    const chunk = async (tokens: number) => difference(await attend('cpu', tokens), await attend('gpu', tokens));
    if ((await chunk(PREFILL_CHUNK_TOKENS)) <= ATTENTION_TOLERANCE) return {};
    const short = await chunk(SHORT_CHUNK);
    if (short <= ATTENTION_TOLERANCE) return { maxRunTokens: SHORT_CHUNK };
    return { failure: `its attention differs from the CPU's by ${percent(short)}` };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

/** The largest, as a share of the largest value. NaN where one of them is. */
function difference(expected: readonly number[], computed: readonly number[]): number {
  const largest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(expected.map((value, i) => value - computed[i]!)) / largest(expected);
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(2)} %`;
}
