import { describe, expect, it } from 'vitest';
import { simulate, type Simulation } from './rate-limit.simulation.fixture';

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
  const run = (rest: Pick<Simulation, 'load' | 'hubAway' | 'skew' | 'spreadWhenAway'>) => {
    const outcome = simulate({ ...common, seconds: 240, random: seededRandom(), ...rest });
    if (nightly) console.log(JSON.stringify({ ...common, ...rest, ...outcome }));
    return outcome;
  };

  it('admit all of the limit and never more in any minute, when three times as much is asked for', () => {
    const { worstMinute, sustained } = run({ load: 3 });
    expect(worstMinute).toBe(1);
    expect(sustained).toBeGreaterThan(0.97);
  });

  it('refuse next to nothing of three fifths of the limit, mostly without asking the hub first', () => {
    const { offered, admitted, waited } = run({ load: 0.6 });
    expect(admitted / offered).toBeGreaterThan(0.97);
    if (common.limit >= 600) expect(waited / admitted).toBeLessThan(0.15);
  });

  it('exceed it by little when the hub restarts', () => {
    const { worstMinute } = run({ load: 3, hubAway: [130, 132] });
    if (common.limit >= 60) expect(worstMinute).toBeLessThan(1.1);
  });

  it('exceed it by the shares of the others at most, when the hub goes and all clients turn to them', () => {
    const { worstMinute } = run({ load: 3, skew: 1, hubAway: [25, 85], spreadWhenAway: true });
    const shareOfOthers = (common.gateways - 1) * Math.max(1, Math.floor(common.limit / common.gateways));
    expect(worstMinute).toBeLessThanOrEqual(1 + shareOfOthers / common.limit);
    if (common.gateways > 1) expect(worstMinute).toBeGreaterThan(1);
  });
});
