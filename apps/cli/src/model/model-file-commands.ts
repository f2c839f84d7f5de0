import type { Command } from 'commander';

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
}
