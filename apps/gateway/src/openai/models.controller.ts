import { Controller, Get, Param } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import { modelNotFound } from '../routing/pipeline-dispatcher';
import { RouteDirectory } from '../routing/route-directory';
import type { RouteTable } from '../routing/route-table';
import { modelList, modelObject } from './responses/model-object';
import type { ServedModel } from './responses/model-object';

/** Models that a pipeline serves right now: one that is still being loaded is not advertised. */
@Controller('v1/models')
export class ModelsController {
  constructor(private readonly directory: RouteDirectory) {}

  @Get()
  list(): object {
    const table = this.table();
    return modelList(table.readyModels.flatMap((id) => servedModel(table, id) ?? []));
  }

  @Get(':id')
  retrieve(@Param('id') id: string): object {
    const table = this.table();
    if (!table.knows(id)) throw modelNotFound(id);
    const model = servedModel(table, id);
    if (!model) throw new PangalacticError('model_not_ready', `No pipeline serves the model '${id}' at the moment.`);
    return modelObject(model);
  }

  private table(): RouteTable {
    const table = this.directory.current;
    if (!table) throw new PangalacticError('service_unavailable', 'The gateway has not reached the hub yet.');
    return table;
  }
}

function servedModel(table: RouteTable, id: string): ServedModel | undefined {
  const routes = table.routesOf(id);
  if (routes.length === 0) return undefined;
  return {
    id,
    readyAt: Math.min(...routes.map((route) => route.readyAt)),
    // What any of the pipelines can take.
    contextLength: Math.min(...routes.map((route) => route.contextLength)),
  };
}
