import { Inject, Injectable, Logger } from '@nestjs/common';
import { PangalacticError, toPangalacticError } from '@pangalactic/contracts';
import { CLOCK } from '../clock';
import type { Clock } from '../clock';
import type { PipelineRoute } from '../routing/route-table';
import { SlicedWork } from '../sliced-work';
import { readModel } from './loaded-model';
import type { LoadedModel } from './loaded-model';
import { NodeClients } from './node-clients';

/** A tokenizer of 128,000 tokens takes some ten megabytes. */
const MAX_CACHED_MODELS = 8;
const FETCH_DEADLINE_MS = 15_000;
/** The largest vocabularies make headers of about 20 MB. */
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** How long stages that failed are not asked again: a header of many megabytes is a lot to ask for. */
const FAILURE_MEMORY_MS = { temporary: 1_000, lasting: 60_000 };

interface CachedModel {
  readonly model: Promise<LoadedModel>;
  /** Of the stages that were asked. */
  readonly addresses: string;
  /** When a failure is forgotten; undefined while there is none. */
  failureEndsAt?: number;
}

/** Tokenizers and chat templates by the fingerprint of the weights, fetched once from whichever stage answers. */
@Injectable()
export class ModelCache {
  private readonly logger = new Logger(ModelCache.name);
  /** In the order of last use. Concurrent requests share the promise. */
  private readonly models = new Map<string, CachedModel>();

  constructor(
    private readonly nodes: NodeClients,
    private readonly work: SlicedWork,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * @throws PangalacticError `service_unavailable`, `corrupt_model_file` or `unsupported_tokenizer`: the same for a while,
   * unless the route has other stages to ask
   */
  get(route: PipelineRoute): Promise<LoadedModel> {
    const { fingerprint } = route;
    const known = this.models.get(fingerprint);
    const cached = known && this.isCurrent(known, route) ? known : this.load(route);
    this.models.delete(fingerprint);
    this.models.set(fingerprint, cached);
    for (const oldest of this.models.keys()) {
      if (this.models.size <= MAX_CACHED_MODELS) break;
      this.models.delete(oldest);
    }
    return cached.model;
  }

  private isCurrent({ addresses, failureEndsAt }: CachedModel, route: PipelineRoute): boolean {
    if (failureEndsAt === undefined) return true;
    return this.clock() < failureEndsAt && addresses === route.addresses.join();
  }

  private load(route: PipelineRoute): CachedModel {
    const cached: CachedModel = { model: this.fetch(route), addresses: route.addresses.join() };
    cached.model.catch((error: unknown) => {
      const { temporary, lasting } = FAILURE_MEMORY_MS;
      cached.failureEndsAt = this.clock() + (toPangalacticError(error).row.retryable ? temporary : lasting);
    });
    return cached;
  }

  private async fetch(route: PipelineRoute): Promise<LoadedModel> {
    const { fingerprint, modelId } = route;
    const model = await this.work.run(readModel(fingerprint, await this.headerOfAnyStage(route)));
    this.logger.log({ event: 'model_header_loaded', modelId, fingerprint });
    return model;
  }

  /** Every stage has read the same file. */
  private async headerOfAnyStage({ fingerprint, modelId, addresses }: PipelineRoute): Promise<Buffer> {
    let failure: unknown;
    for (const address of addresses) {
      try {
        return await this.readHeader(address, fingerprint);
      } catch (error) {
        failure = error;
        this.logger.warn({ event: 'model_header_failed', modelId, address, error: toPangalacticError(error).message });
      }
    }
    throw new PangalacticError('service_unavailable', `No node could send the tokenizer of the model '${modelId}'.`, {
      cause: failure,
    });
  }

  private async readHeader(address: string, fingerprint: string): Promise<Buffer> {
    const { client, release } = this.nodes.borrow(address);
    try {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const { data } of client.readModelHeader({ fingerprint }, { deadlineMs: FETCH_DEADLINE_MS })) {
        bytes += data.length;
        if (bytes > MAX_HEADER_BYTES) {
          throw new PangalacticError('corrupt_model_file', `the model header exceeds ${MAX_HEADER_BYTES} bytes`);
        }
        chunks.push(data);
      }
      return Buffer.concat(chunks);
    } finally {
      release();
    }
  }
}
