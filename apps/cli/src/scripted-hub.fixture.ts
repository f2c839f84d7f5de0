import { Controller, Inject, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod } from '@nestjs/microservices';
import type {
  GetClusterResponse,
  ListModelsResponse,
  LoadModelRequest,
  LoadModelResponse,
} from '@pangalactic/contracts';
import { freePort } from '@pangalactic/testing';
import { GrpcErrorFilter, grpcServerOptions, GrpcServerHandle } from '@pangalactic/transport';

/** What a hub answers; a call without a script fails. */
export interface HubScript {
  readonly getCluster?: () => GetClusterResponse;
  readonly listModels?: () => ListModelsResponse;
  readonly loadModel?: (request: LoadModelRequest) => LoadModelResponse;
}

const SCRIPT = Symbol('HubScript');
const closers: (() => Promise<void>)[] = [];

/** For afterEach. */
export async function closeHubs(): Promise<void> {
  for (const close of closers.splice(0)) await close();
}

/** A gRPC server that plays a hub. @returns its address */
export async function startScriptedHub(script: HubScript): Promise<string> {
  const bindAddress = `127.0.0.1:${await freePort()}`;
  const settings = { bindAddress, services: ['HubService'], clusterToken: undefined } as const;
  const module: DynamicModule = {
    module: ScriptedModule,
    controllers: [ScriptedController],
    providers: [{ provide: SCRIPT, useValue: script }],
  };
  const options = grpcServerOptions(settings, new GrpcServerHandle());
  const server = await NestFactory.createMicroservice(module, { ...options, logger: false });
  server.useGlobalFilters(new GrpcErrorFilter());
  closers.push(() => server.close());
  await server.listen();
  return bindAddress;
}

@Controller()
class ScriptedController {
  constructor(@Inject(SCRIPT) private readonly script: HubScript) {}

  @GrpcMethod('HubService', 'GetCluster')
  getCluster() {
    return this.script.getCluster?.();
  }

  @GrpcMethod('HubService', 'ListModels')
  listModels() {
    return this.script.listModels?.();
  }

  @GrpcMethod('HubService', 'LoadModel')
  loadModel(request: LoadModelRequest) {
    return this.script.loadModel?.(request);
  }
}

class ScriptedModule {}
