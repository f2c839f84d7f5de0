import type { ModelInfo } from '@pangalactic/contracts';
import { type Candidate, type Link, planPipeline } from '@pangalactic/scheduler';
import { median } from './statistics';

const NODES = 1_000;
const LAYERS = 80;
const ROUNDS = 7;
const GB = 1e9;

/** 70B in 4 bits, and clusters from one in which a node holds it to one in which 28 do. */
const MODEL: ModelInfo = {
  ...{ id: 'large', fingerprint: 'f', architecture: 'llama', layers: LAYERS, hiddenSize: 8192, vocabSize: 128_000 },
  ...{ contextLength: 8192, heads: 64, kvHeads: 8, headSize: 128, layerBytes: Array<number>(LAYERS).fill(0.6 * GB) },
  ...{ embeddingBytes: GB, outputBytes: GB, fileBytes: 50 * GB },
};
const MEMORIES_GB = [2.6, 4, 8, 64];
const SPREADS_GB = [0, 1, 16];

interface PlanningTime {
  readonly memoryGb: number;
  readonly spreadGb: number;
  readonly stages: number;
  readonly medianMs: number;
}

/** How long a plan takes for 1,000 unlike nodes with links of every length. */
export function measurePlanning(): object {
  const times = MEMORIES_GB.flatMap((memoryGb) => SPREADS_GB.map((spreadGb) => planningTime(memoryGb, spreadGb)));
  console.table(times);
  return { nodes: NODES, layers: LAYERS, times };
}

function planningTime(memoryGb: number, spreadGb: number): PlanningTime {
  const candidates = Array.from({ length: NODES }, (_, index): Candidate => {
    const share = ((index * 7919) % NODES) / NODES;
    return {
      ...{ nodeId: `node-${index}`, address: `10.0.0.1:${index}`, usedBytes: 0 },
      memoryBytes: GB * (memoryGb + spreadGb * share),
      speed: { decodeMsPerByte: 1e-7 * (1 + ((index * 31) % 17) / 10), prefillMsPerByte: 1e-8 },
    };
  });
  const indexOf = new Map(candidates.map(({ nodeId }, index) => [nodeId, index]));
  const linkBetween = (from: string, to: string): Link => ({
    rttMs: 0.2 + ((13 * (indexOf.get(from)! + indexOf.get(to)!)) % 29) / 10,
    bytesPerMs: 125_000,
  });
  let stages = 0;
  const times = Array.from({ length: ROUNDS }, () => {
    const started = performance.now();
    const plan = planPipeline(MODEL, candidates, { stages: 0, linkBetween });
    stages = 'reason' in plan ? 0 : plan.stages.length;
    return performance.now() - started;
  });
  return { memoryGb, spreadGb, stages, medianMs: Math.round(10 * median(times)) / 10 };
}
