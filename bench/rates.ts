import type { TokenTimes } from './served-model';

/** Tokens per second from the first token on. */
export function decodeRate(times: TokenTimes): number {
  return ((times.length - 1) / (times.at(-1)! - times[0]!)) * 1000;
}

/** Total tokens per second while all streams run. */
export function totalRate(streams: readonly TokenTimes[]): number {
  const from = Math.max(...streams.map((times) => times[0]!));
  const to = Math.min(...streams.map((times) => times.at(-1)!));
  const tokens = streams.flat().filter((time) => time > from && time <= to).length;
  return (tokens / (to - from)) * 1000;
}

export function prefillRate(promptTokens: number, times: TokenTimes): number {
  return (promptTokens / times[0]!) * 1000;
}

/** The longest gap between two tokens of a stream that falls into a window. */
export function longestGap(times: TokenTimes, from: number, to: number): number {
  return times.slice(1).reduce((longest, time, index) => {
    const start = times[index]!;
    return time > from && start < to ? Math.max(longest, time - start) : longest;
  }, 0);
}
