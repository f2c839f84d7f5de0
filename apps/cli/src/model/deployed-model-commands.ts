import type { Command } from 'commander';
import { HUB_OPTION, type ClusterFlags, type HubFlags } from '../hub-option';
import type { LoadFlags } from './load-request';

/** Commands for models in a running cluster. */
export function addDeployedModelCommands(model: Command): void {
  addViewCommand(model.command('list'), 'models that nodes hold, which of them run, and where');
  addViewCommand(model.command('show').argument('<id>', 'as in model list'), 'everything the hub knows of a model');
  addLoadCommand(model);
  model
    .command('unload')
    .description('stop serving a model: what runs on it finishes, then its memory is free')
    .argument('<id>', 'as in model list')
    .option(...HUB_OPTION)
    .action(async (id: string, { hubAddr }: HubFlags) => {
      console.log(await (await import('./unload-model.js')).unloadModel(hubAddr, id));
    });
}

function addViewCommand(command: Command, description: string): void {
  command
    .description(description)
    .option(...HUB_OPTION)
    .option('--json', 'print JSON; layers are [from, to), sizes are bytes')
    .action(async (...parameters: [ClusterFlags, Command] | [string, ClusterFlags, Command]) => {
      const [id, { hubAddr, json }] = parameters.length === 3 ? parameters : [undefined, parameters[0]];
      const [{ readModel, readModels }, { modelReport }, { modelText, modelTable }] = await Promise.all([
        import('./read-models.js'),
        import('./model-report.js'),
        import('./model-tables.js'),
      ]);
      const print = <T>(view: T, text: (view: T) => string) =>
        console.log(json ? JSON.stringify(view, null, 2) : text(view));
      if (id === undefined) print((await readModels(hubAddr)).map(modelReport), modelTable);
      else print(modelReport(await readModel(hubAddr, id)), modelText);
    });
}

function addLoadCommand(model: Command): void {
  model
    .command('load')
    .description('serve a model that nodes hold, until model unload; repeated, with the options given then')
    .argument('<id>', 'as in model list')
    .option(...HUB_OPTION)
    .option('--stages <n>', 'nodes that share the model; 0 lets the planner decide (default: HUB_PIPELINE_STAGES)')
    .option('--replicas <n>', 'pipelines that serve it at once (default: 1)')
    .option('--context <tokens>', 'tokens a sequence may hold (default: the planner decides)')
    .option('--sequences <n>', 'sequences at once per pipeline (default: the planner decides)')
    .option(
      '--layers <node=first-last...>',
      'which node runs which layers, all of them in order: node-1=0-11 node-2=12-21',
    )
    .option('--timeout <seconds>', 'how long to wait until it is READY', '600')
    .action(async (id: string, flags: HubFlags & LoadFlags & { readonly timeout: string }) => {
      const [{ loadModel }, { loadRequest, wholeNumber }, { createLoadDisplay }] = await Promise.all([
        import('./load-model.js'),
        import('./load-request.js'),
        import('./load-display.js'),
      ]);
      const timeoutMs = wholeNumber('--timeout', flags.timeout) * 1000;
      const display = createLoadDisplay(process.stderr);
      console.log(await loadModel({ hubAddress: flags.hubAddr, request: loadRequest(id, flags), timeoutMs, display }));
    });
}
