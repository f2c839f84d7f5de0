import type { Command } from 'commander';
import type { PlanFlags } from './plan';

interface DownloadFlags {
  readonly outputDir: string;
  readonly id?: string;
}

/** Commands for models as files, which need no running cluster. */
export function addModelFileCommands(model: Command): void {
  model
    .command('download')
    .description('fetch a model into a folder that nodes serve from; goes on where it was interrupted')
    .argument('<model>', 'an id of `model catalogue`, hf:owner/name/file.gguf, or an https:// URL of a GGUF file')
    .option('--output-dir <dir>', 'the NODE_MODEL_DIR of the nodes; the model gets a folder in it', './models')
    .option('--id <id>', "the model's name in the cluster, instead of that of its file")
    .action(async (name: string, flags: DownloadFlags) => {
      const { downloadToFolder } = await import('./download.js');
      console.log(await downloadToFolder(name, flags.outputDir, flags.id));
    });
  model
    .command('catalogue')
    .description('models that `model download` and `model plan` know by their id')
    .option('--json', 'print JSON; sizes are bytes')
    .action(async ({ json }: { readonly json?: true }) => {
      const { catalogueReport, catalogueTable } = await import('./catalogue.js');
      console.log(json ? JSON.stringify(catalogueReport(), null, 2) : catalogueTable());
    });
  model
    .command('plan')
    .description('how a model would be spread over nodes, without a cluster; exit code 1 if it does not fit')
    .argument('<model>', 'an id of `model catalogue`, a GGUF file, or a folder with one')
    .requiredOption('--nodes <list>', 'count and memory of the nodes, such as 3x24GB,1x8GB')
    .option('--context <tokens>', 'exactly this context length, instead of what fits')
    .option('--sequences <n>', 'exactly so many sequences at once, instead of what fits')
    .option('--json', 'print JSON; layers are [from, to), sizes are bytes')
    .action(async (name: string, flags: PlanFlags) => {
      console.log(await (await import('./plan.js')).planModel(name, flags));
    });
}
