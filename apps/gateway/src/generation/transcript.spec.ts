import { describe, expect, it } from 'vitest';
import { Transcript } from './transcript';

describe('Transcript', () => {
  it('takes each token once, in order', () => {
    const transcript = new Transcript('weights', [1, 2]);
    expect([transcript.append(0, 10), transcript.append(1, 11), transcript.append(0, 99)]).toEqual([true, true, false]);
    expect(transcript.emittedIds).toEqual([10, 11]);
  });

  it('refuses a token after a lost one', () => {
    const transcript = new Transcript('weights', []);
    transcript.append(0, 10);
    expect(() => transcript.append(2, 12)).toThrow(
      expect.objectContaining({ code: 'invalid_frame', message: 'completion token 2 arrived before token 1' }),
    );
    expect(transcript.emittedIds).toEqual([10]);
  });
});
