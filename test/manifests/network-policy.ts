import type { V1NetworkPolicy, V1NetworkPolicyPeer, V1NetworkPolicyPort } from '@kubernetes/client-node';

/** One connection; a peer without labels is outside the namespace: a client, a machine of the cluster. */
export interface Connection {
  readonly from: Labels | undefined;
  readonly to: Labels | undefined;
  readonly port: number;
}
export type Labels = Readonly<Record<string, string>>;

interface Rule {
  readonly peers: readonly V1NetworkPolicyPeer[] | undefined;
  readonly ports: readonly V1NetworkPolicyPort[] | undefined;
}

/** Whether TCP gets through, both out of its source and into its target. Knows pod selectors by labels, no addresses. */
export function allows(policies: readonly V1NetworkPolicy[], { from, to, port }: Connection): boolean {
  const outward = rules(policies, from, 'Egress', ({ egress = [] }) =>
    egress.map(({ to, ports }) => ({ peers: to, ports })),
  );
  const inward = rules(policies, to, 'Ingress', ({ ingress = [] }) =>
    // client-node calls it _from, YAML from.
    (ingress as { from?: V1NetworkPolicyPeer[]; ports?: V1NetworkPolicyPort[] }[]).map(({ from, ports }) => ({
      peers: from,
      ports,
    })),
  );
  return permits(outward, to, port) && permits(inward, from, port);
}

/** Undefined when no policy selects the pod: then everything is allowed. */
function rules(
  policies: readonly V1NetworkPolicy[],
  pod: Labels | undefined,
  direction: 'Ingress' | 'Egress',
  read: (spec: NonNullable<V1NetworkPolicy['spec']>) => Rule[],
): Rule[] | undefined {
  if (!pod) return undefined;
  const selecting = policies.flatMap(({ spec }) =>
    spec && spec.policyTypes?.includes(direction) && matches(spec.podSelector?.matchLabels, pod) ? [spec] : [],
  );
  return selecting.length === 0 ? undefined : selecting.flatMap(read);
}

function permits(rules: Rule[] | undefined, peer: Labels | undefined, port: number): boolean {
  if (!rules) return true;
  return rules.some(
    ({ peers, ports }) =>
      (!ports || ports.some((allowed) => Number(allowed.port) === port && (allowed.protocol ?? 'TCP') === 'TCP')) &&
      (!peers ||
        peers.some(({ podSelector }) => peer && podSelector !== undefined && matches(podSelector.matchLabels, peer))),
  );
}

function matches(selector: Labels | undefined, labels: Labels): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels[key] === value);
}
