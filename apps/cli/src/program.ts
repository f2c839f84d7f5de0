import { packageVersion } from '@pangalactic/contracts';
import { Command } from 'commander';
import { addModelFileCommands } from './model/model-file-commands';

const APPS = ['hub', 'node', 'gateway'] as const;
const HUB_OPTION = [
  '--hub-addr <host:port,...>',
  "the hub's gRPC address; of several hubs, all of them",
  'localhost:7100',
] as const;

interface HubFlags {
  readonly hubAddr: string;
}

interface ClusterFlags extends HubFlags {
  readonly json?: true;
}

/** Every action loads its code when it runs, so that `--help` costs no more than commander itself. */
export function createProgram(): Command {
  const program = new Command('pangalactic')
    .description('Ordinary machines on ordinary Ethernet become one inference engine.')
    .version(packageVersion());

  for (const app of APPS) {
    const commands = program.command(app).description(`the ${app} process`);
    commands
      .command('start')
      .description(`run a ${app} in the foreground, configured by ${app.toUpperCase()}_* environment variables`)
      .action(async () => {
        const { startApp } = await import('./start-app.js');
        await startApp(app);
      });
    if (app === 'hub') addStateCommands(commands);
    if (app === 'node') addDrainCommands(commands);
  }

  const cluster = program.command('cluster').description('look at a running cluster');
  addClusterCommand(cluster, 'status', 'nodes, pipelines and what is being waited for', 'statusText');
  addClusterCommand(cluster, 'topology', 'which node runs which layers, and in how much memory', 'topologyTable');
  addPlanCommand(cluster);

  addModelFileCommands(program.command('model').description('get, size and manage models'));
  return program;
}

function addStateCommands(hub: Command): void {
  const state = hub
    .command('state')
    .description("move the hub's state between backends, while no hub runs on the new one; configured like the hub");
  state
    .command('export')
    .description('write the state as JSON lines')
    .argument('[file]', 'a new file; standard output by default')
    .action(async (file?: string) => (await import('./state/move-state.js')).exportState(file));
  state
    .command('import')
    .description('fill an empty state: it keeps the cluster id, and its term is higher')
    .argument('<file>', 'what export wrote')
    .action(async (file: string) => (await import('./state/move-state.js')).importState(file));
}

function addDrainCommands(node: Command): void {
  const add = (name: string, description: string, drained: boolean) =>
    node
      .command(name)
      .description(description)
      .argument('<id>', 'the NODE_ID')
      .option(...HUB_OPTION)
      .action(async (id: string, { hubAddr }: HubFlags) => {
        const { setDrained } = await import('./node/set-drained.js');
        console.log(await setDrained(hubAddr, id, drained));
      });
  add('drain', 'no new shards for the node; its pipelines move elsewhere after what runs on them', true);
  add('uncordon', 'the node may get shards again', false);
}

function addPlanCommand(cluster: Command) {
  cluster
    .command('plan')
    .description('where each model runs or would run, and how fast that is predicted to be')
    .option(...HUB_OPTION)
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
    .option(...HUB_OPTION)
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
