import { describe, expect, it } from 'vitest';
import { kustomize, manifestFiles, readManifests, workloads } from './manifests';
import { allows, type Labels } from './network-policy';
import { hasKubectl } from './programs';
import type { V1NetworkPolicy } from '@kubernetes/client-node';

const GATEWAY = { app: 'pangalactic-gateway' };
const HUB = { app: 'pangalactic-hub' };
const NODE = { app: 'pangalactic-node' };
const ETCD = { app: 'etcd' };
const PROMETHEUS = { app: 'prometheus' };
/** As the chart labels it. */
const GRAFANA = { 'app.kubernetes.io/name': 'grafana' };
const DOWNLOAD = { app: 'pangalactic-model-download' };
/** A client, the internet, a machine of the cluster. */
const OUTSIDE = undefined;

type Case = [from: Labels | undefined, to: Labels | undefined, port: number];

const NEEDED: Case[] = [
  [OUTSIDE, GATEWAY, 8080],
  [GATEWAY, HUB, 7100],
  [GATEWAY, NODE, 7200],
  [NODE, HUB, 7100],
  [NODE, NODE, 7200],
  // Whether a silent node still answers; what a standby does not know; the state.
  [HUB, NODE, 7200],
  [HUB, HUB, 7100],
  [HUB, ETCD, 2379],
  [ETCD, ETCD, 2379],
  [ETCD, ETCD, 2380],
  [PROMETHEUS, GATEWAY, 8080],
  [PROMETHEUS, HUB, 7101],
  [PROMETHEUS, NODE, 7201],
  [PROMETHEUS, ETCD, 2381],
  [GRAFANA, PROMETHEUS, 9090],
  // The API server, which lists the pods.
  [PROMETHEUS, OUTSIDE, 443],
];
const FORBIDDEN: Case[] = [
  [GATEWAY, ETCD, 2379],
  [NODE, ETCD, 2379],
  [PROMETHEUS, ETCD, 2379],
  [OUTSIDE, ETCD, 2379],
  [OUTSIDE, ETCD, 2380],
  [HUB, ETCD, 2380],
  [OUTSIDE, NODE, 7200],
  [PROMETHEUS, NODE, 7200],
  [OUTSIDE, HUB, 7101],
  [OUTSIDE, PROMETHEUS, 9090],
  [NODE, GATEWAY, 8080],
  [GATEWAY, OUTSIDE, 443],
  [NODE, OUTSIDE, 443],
  [HUB, OUTSIDE, 443],
];

const sets: [string, () => ReturnType<typeof readManifests>][] = [
  ['the files of the guide', () => manifestFiles().flatMap(readManifests)],
];
if (hasKubectl()) sets.push(['production', () => kustomize('k8s/overlays/production')]);

describe.each(sets)('network policies of %s', (set, read) => {
  const manifests = read();
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy') as V1NetworkPolicy[];
  const allowed = (...[from, to, port]: Case) => allows(policies, { from, to, port });
  const name = (pod: Labels | undefined) => (pod ? Object.values(pod)[0] : 'outside');
  const text = ([from, to, port]: Case) => `${name(from)} to ${name(to)}:${port}`;

  it('select every workload', () => {
    const selected = policies.map(({ spec }) => spec?.podSelector?.matchLabels?.app);
    for (const { metadata, spec } of workloads(manifests)) {
      expect(selected, metadata.name).toContain(spec.template.metadata?.labels?.app);
    }
  });

  it.each(NEEDED.map((needed) => [text(needed), needed] as const))('let %s through', (_, needed) => {
    expect(allowed(...needed)).toBe(true);
  });

  it.each(FORBIDDEN.map((forbidden) => [text(forbidden), forbidden] as const))('stop %s', (_, forbidden) => {
    expect(allowed(...forbidden)).toBe(false);
  });

  it('let names be resolved', () => {
    for (const pod of [GATEWAY, HUB, NODE, ETCD]) expect(allowed(pod, OUTSIDE, 53)).toBe(true);
  });

  it("decide who commands the hub: everybody in the guide's cluster, its own pods in production", () => {
    const guide = set !== 'production';
    expect(allowed(OUTSIDE, HUB, 7100)).toBe(guide);
    expect(allowed(DOWNLOAD, HUB, 7100)).toBe(false);
    if (guide) expect(allowed(DOWNLOAD, OUTSIDE, 443)).toBe(true);
  });
});
