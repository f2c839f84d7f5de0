import { describe, expect, it } from 'vitest';
import { simulate } from './rate-limit.simulation.fixture';

/** Park and Miller's generator: the same requests in every run. */
function seededRandom(): () => number {
  let state = 42;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

// 90 % of the requests to one gateway, or all alike.
const LOADS = [
  { gateways: 1, skew: undefined },
  { gateways: 2, skew: undefined },
  { gateways: 2, skew: 0.9 },
  { gateways: 10, skew: undefined },
  { gateways: 10, skew: 0.9 },
];
const nightly = process.env.PANGALACTIC_NIGHTLY === '1';
const LIMITS = nightly ? [6, 60, 600, 6_000] : [60, 600];
const cases = LOADS.flatMap((load) => LIMITS.map((limit) => ({ ...load, limit })));

describe.each(cases)('$gateways gateways, a limit of $limit, skew $skew', (common) => {
  const run = (rest: { load: number; hubAway?: [number, number] }) => {
    const outcome = simulate({ ...common, seconds: 240, random: seededRandom(), ...rest });
    if (nightly) console.log(JSON.stringify({ ...common, ...rest, ...outcome }));
    return outcome;
  };

  it('admit all of the limit and never more in any minute, when three times as much is asked for', () => {
    const { worstMinute, sustained } = run({ load: 3 });
    expect(worstMinute).toBe(1);
    expect(sustained).toBeGreaterThan(0.97);
  });

  it('refuse next to nothing of three quarters of the limit, mostly without asking the hub first', () => {
    const { offered, admitted, waited } = run({ load: 0.75 });
    expect(admitted / offered).toBeGreaterThan(0.97);
    if (common.limit >= 600) expect(waited / admitted).toBeLessThan(0.15);
  });

  it('exceed it by little when the hub restarts', () => {
    expect(run({ load: 3, hubAway: [130, 132] }).worstMinute).toBeLessThan(1.1);
  });

  it('exceed it by less than the limit in the minutes in which the hub goes and comes, and not in between', () => {
    const { worstMinute } = run({ load: 3, hubAway: [110, 170] });
    expect(worstMinute).toBeLessThan(2 - 1 / common.gateways + 0.001);
  });
});
