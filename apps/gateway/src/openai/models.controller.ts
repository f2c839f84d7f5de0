import { Controller, Get, Param } from '@nestjs/common';
import { PangalacticError } from '@pangalactic/contracts';
import { modelNotFound } from '../routing/pipeline-dispatcher';
import { RouteDirectory } from '../routing/route-directory';
import type { RouteTable } from '../routing/route-table';
import { modelList, modelObject } from './responses/model-object';
import type { AdvertisedModel } from './responses/model-object';

/** Models that a request may name: those that are served, and those that are loaded when one comes. */
@Controller('v1/models')
export class ModelsController {
  constructor(private readonly directory: RouteDirectory) {}

  @Get()
  list(): object {
    const table = this.table();
    const ids = new Set([...table.readyModels, ...table.models.map(({ id }) => id)]);
    return modelList([...ids].sort().map((id) => advertisedModel(table, id)));
  }

  @Get(':id')
  retrieve(@Param('id') id: string): object {
    const table = this.table();
    if (!table.knows(id)) throw modelNotFound(id);
    return modelObject(advertisedModel(table, id));
  }

  private table(): RouteTable {
    const table = this.directory.current;
    if (!table) throw new PangalacticError('service_unavailable', 'The gateway has not reached the hub yet.');
    return table;
  }
}

function advertisedModel(table: RouteTable, id: string): AdvertisedModel {
  const routes = table.routesOf(id);
  const { state = 'READY', contextLength = 0 } = table.model(id) ?? {};
  if (routes.length === 0) return { id, state, readyAt: 0, contextLength };
  return {
    id,
    state: 'READY',
    readyAt: Math.min(...routes.map((route) => route.readyAt)),
    // What any of the pipelines can take.
    contextLength: Math.min(...routes.map((route) => route.contextLength)),
  };
}
