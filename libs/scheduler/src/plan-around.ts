import type { ModelInfo } from '@pangalactic/contracts';
import { ASSUMED_LINK, type Link, type LinkBetween } from './cost-model';
import { usedSuspects, type Suspect } from './fault-memory';
import { planPipeline, type Candidate, type Plan, type PlannedPipeline, type PlanOptions } from './plan-pipeline';

/** So long that any other way is taken. */
const AVOIDED_RTT_MS = 1e6;

/**
 * A plan that uses as few of the suspects as possible, and none where there is another plan at all, even one on more nodes
 * or with a shorter context. Costs one plan when nothing is suspected.
 */
export function planAround(
  model: ModelInfo,
  candidates: readonly Candidate[],
  options: PlanOptions,
  suspects: readonly Suspect[],
): Plan {
  if (suspects.length === 0) return planPipeline(model, candidates, options);
  const linkBetween = avoiding(options.linkBetween ?? (() => ASSUMED_LINK), suspects);
  const planned = (choice: readonly Candidate[]) => planPipeline(model, choice, { ...options, linkBetween });
  const avoidedNodes = new Set(
    suspects.filter(({ nodeIds }) => nodeIds.length === 1).flatMap(({ nodeIds }) => nodeIds),
  );
  const trusted = candidates.filter(({ nodeId }) => !avoidedNodes.has(nodeId));

  let best: PlannedPipeline | undefined;
  let fewest = Infinity;
  const look = (choice: readonly Candidate[]): Suspect[] => {
    const plan = planned(choice);
    if ('reason' in plan) return [];
    const used = usedSuspects(
      suspects,
      plan.stages.map(({ nodeId }) => nodeId),
    );
    if (used.length < fewest) [best, fewest] = [plan, used.length];
    return used;
  };
  const used = look(trusted);
  // The search sees the ways from stage to stage, but not the one from the tail back to the head.
  for (const choice of fewest === 0 ? [] : variants(trusted, used)) look(choice);
  if (fewest > 0) look(candidates);
  return best ?? planned(candidates);
}

/** Without one end of a suspected way, or with that end between others. */
function* variants(candidates: readonly Candidate[], used: readonly Suspect[]): Generator<Candidate[]> {
  for (const end of used.flatMap(({ nodeIds }) => nodeIds)) {
    yield candidates.map((candidate) => (candidate.nodeId === end ? { ...candidate, inner: true } : candidate));
    yield candidates.filter(({ nodeId }) => nodeId !== end);
  }
}

function avoiding(linkBetween: LinkBetween, suspects: readonly Suspect[]): LinkBetween {
  const ways = new Set(suspects.map(({ nodeIds }) => nodeIds.join()));
  return (from, to): Link => {
    const link = linkBetween(from, to);
    return ways.has([from, to].sort().join()) ? { ...link, rttMs: link.rttMs + AVOIDED_RTT_MS } : link;
  };
}
