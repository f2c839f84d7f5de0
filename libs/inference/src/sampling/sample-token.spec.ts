import { describe, expect, it } from 'vitest';
import { drawUniform } from './philox';
import { referenceDistribution } from './reference-sampler.fixture';
import { referenceSoftmax } from './reference-softmax.fixture';
import { sampleToken } from './sample-token';
import { samplingSettings } from './sampling-settings';

const VOCABULARY = 32_000;

/** Normally distributed logits by Box-Muller, from the sampler's own generator. */
function normalLogits(deviation: number, seed: number): Float32Array {
  return Float32Array.from({ length: VOCABULARY }, (_, id) => {
    const radius = Math.sqrt(-2 * Math.log(1 - drawUniform(seed, 0, id)));
    return deviation * radius * Math.cos(2 * Math.PI * drawUniform(seed, 1, id));
  });
}

// The prunings before a selection only show in a vocabulary larger than their samples.
describe('sampleToken over a whole vocabulary', () => {
  it.each([
    { temperature: 0.8, topP: 0.95 },
    { temperature: 1, topP: 0.999 },
    { temperature: 1, topP: 1, topK: 40 },
    { temperature: 1, topP: 1, topK: 5_000 },
    { temperature: 0.7, topP: 0.9, topK: 1_000 },
    { temperature: 1, topP: 0.9, minP: 0.001 },
  ])('draws what the sorted reference draws: %j', async (sampling) => {
    const settings = samplingSettings(sampling);
    const candidates = new Uint32Array(VOCABULARY);
    for (const deviation of [1, 3, 0]) {
      const logits = normalLogits(deviation, 3);
      const probabilities = await referenceSoftmax(logits, settings.temperature);
      const expected = referenceDistribution([...logits], settings);
      for (let index = 0; index < 20; index++) {
        const draw = drawUniform(9, 0, index);
        let end = 0;
        const drawn = expected.find(({ probability }) => draw < (end += probability));
        expect(sampleToken(probabilities, settings, draw, candidates)).toBe(drawn!.id);
      }
    }
  });
});
