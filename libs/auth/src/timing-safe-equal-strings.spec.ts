import fc from 'fast-check';
import { expect, it } from 'vitest';
import { timingSafeEqualStrings } from './timing-safe-equal-strings';

it('agrees with ===', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (one, other) => {
      expect(timingSafeEqualStrings(one, other)).toBe(one === other);
      expect(timingSafeEqualStrings(one, one)).toBe(true);
      expect(timingSafeEqualStrings(one, `${one}x`)).toBe(false);
    }),
  );
});
