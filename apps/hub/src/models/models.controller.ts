import { Controller } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import type {
  ListModelsResponse,
  LoadModelRequest,
  LoadModelResponse,
  UnloadModelRequest,
  UnloadModelResponse,
} from '@pangalactic/contracts';
import { ModelWishes } from './model-wishes';

@Controller()
export class ModelsController {
  constructor(private readonly wishes: ModelWishes) {}

  @GrpcMethod('HubService', 'ListModels')
  async listModels(): Promise<ListModelsResponse> {
    return { models: await this.wishes.list() };
  }

  @GrpcMethod('HubService', 'LoadModel')
  async loadModel(request: LoadModelRequest): Promise<LoadModelResponse> {
    return { model: await this.wishes.load(request) };
  }

  @GrpcMethod('HubService', 'UnloadModel')
  async unloadModel({ modelId }: UnloadModelRequest): Promise<UnloadModelResponse> {
    return { model: await this.wishes.unload(modelId) };
  }
}
