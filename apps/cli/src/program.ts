import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';
import { Command } from 'commander';

const APPS = ['hub', 'node', 'gateway'] as const;
const DEFAULT_HUB = 'localhost:7100';

interface ClusterFlags {
  readonly hubAddr: string;
  readonly json?: true;
}

/** Every action loads its code when it runs, so that `--help` costs no more than commander itself. */
export function createProgram(): Command {
  const program = new Command('pangalactic')
    .description('Ordinary machines on ordinary Ethernet become one inference engine.')
    .version(version());

  for (const app of APPS) {
    program
      .command(app)
      .description(`the ${app} process`)
      .command('start')
      .description(`run a ${app} in the foreground, configured by ${app.toUpperCase()}_* environment variables`)
      .action(async () => {
        const { startApp } = await import('./start-app.js');
        await startApp(app);
      });
  }

  const cluster = program.command('cluster').description('look at a running cluster');
  addClusterCommand(cluster, 'status', 'nodes, pipelines and what is being waited for', 'statusText');
  addClusterCommand(cluster, 'topology', 'which node runs which layers, and in how much memory', 'topologyTable');
  addPlanCommand(cluster);
  return program;
}

function addPlanCommand(cluster: Command) {
  cluster
    .command('plan')
    .description('where each model runs or would run, and how fast that is predicted to be')
    .option('--hub-addr <host:port>', "the hub's gRPC address", DEFAULT_HUB)
    .option('--explain', 'also the memory ledger, the times of each stage and why nodes are left out')
    .option('--json', 'print JSON with everything; layers are [from, to), sizes are bytes')
    .action(async ({ hubAddr, json, explain }: ClusterFlags & { readonly explain?: true }) => {
      const [{ readPlan }, { planReport, planText }] = await Promise.all([
        import('./cluster/read-cluster.js'),
        import('./cluster/plan-report.js'),
      ]);
      const plan = await readPlan(hubAddr);
      console.log(json ? JSON.stringify(planReport(plan), null, 2) : planText(plan, explain === true));
    });
}

function addClusterCommand(cluster: Command, name: string, description: string, view: 'statusText' | 'topologyTable') {
  cluster
    .command(name)
    .description(description)
    .option('--hub-addr <host:port>', "the hub's gRPC address", DEFAULT_HUB)
    .option('--json', 'print JSON; layers are [from, to), sizes are bytes')
    .action(async ({ hubAddr, json }: ClusterFlags) => {
      const [{ readCluster }, { clusterReport }] = await Promise.all([
        import('./cluster/read-cluster.js'),
        import('./cluster/cluster-report.js'),
      ]);
      const report = clusterReport(await readCluster(hubAddr));
      console.log(json ? JSON.stringify(report, null, 2) : (await import('./cluster/cluster-tables.js'))[view](report));
    });
}

function version(): string {
  const manifest = readFileSync(join(repositoryRoot(), 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
