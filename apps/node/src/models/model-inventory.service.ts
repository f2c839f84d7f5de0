import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { NODE_CONFIG, type NodeConfig } from '@pangalactic/config';
import { type Inventory, PangalacticError } from '@pangalactic/contracts';
import {
  describeModel,
  listModelFiles,
  type ModelDescription,
  readGgufHeader,
  scanModels,
  type ScannedModels,
} from '@pangalactic/models';

/** How soon a model that was put into the directory shows up. Network file systems do not tell, so it is looked for. */
const RESCAN_INTERVAL_MS = 2_000;

export interface LocatedModel {
  readonly path: string;
  readonly description: ModelDescription;
}

/** What NODE_MODEL_DIR holds, and where. */
@Injectable()
export class ModelInventory implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('models');
  private readonly listeners = new Set<() => void>();
  private scanned: ScannedModels = { models: [], rejected: [] };
  /** Of the last scan. */
  private listing: string | undefined;
  /** Settles when no scan runs. */
  private idle: Promise<unknown> = Promise.resolve();
  /** A scan that has not begun. */
  private waiting: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(@Inject(NODE_CONFIG) private readonly config: NodeConfig) {}

  async onModuleInit(): Promise<void> {
    await this.rescan();
    this.timer = setInterval(() => {
      this.rescan().catch((error: unknown) => this.logger.error({ event: 'model_scan_failed', error: String(error) }));
    }, RESCAN_INTERVAL_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  get inventory(): Inventory {
    return { models: this.scanned.models.map(({ info }) => info), rejected: [...this.scanned.rejected] };
  }

  /** @returns takes the listener away again */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @throws PangalacticError `model_not_found`, and whatever is wrong with the file by now */
  async locate(fingerprint: string): Promise<LocatedModel> {
    const { path } = await this.find(fingerprint);
    return { path, description: describeModel((await readGgufHeader(path)).header) };
  }

  /** The bytes of the file before its tensors. */
  async headerBytes(fingerprint: string): Promise<Buffer> {
    const { path } = await this.find(fingerprint);
    return (await readGgufHeader(path)).bytes;
  }

  /** Reads the files only if some came, went or changed. One scan at a time; callers share the next one. */
  rescan(): Promise<void> {
    if (!this.waiting) {
      this.waiting = this.idle.then(() => {
        this.waiting = undefined;
        return this.scan();
      });
      this.idle = this.waiting.catch(() => undefined);
    }
    return this.waiting;
  }

  private async scan(): Promise<void> {
    const { modelDirectory } = this.config;
    const listing = await listModelFiles(modelDirectory);
    if (listing === this.listing) return;
    this.scanned = await scanModels(modelDirectory);
    this.listing = listing;
    const { models, rejected } = this.scanned;
    this.logger.log({ event: 'models_scanned', models: models.map(({ info }) => info.id), rejected });
    for (const listener of this.listeners) listener();
  }

  private async find(fingerprint: string): Promise<ScannedModels['models'][number]> {
    const known = () => this.scanned.models.find(({ info }) => info.fingerprint === fingerprint);
    if (!known()) await this.rescan();
    const model = known();
    if (model) return model;
    const { modelDirectory } = this.config;
    throw new PangalacticError('model_not_found', `no model with fingerprint ${fingerprint} in ${modelDirectory}`);
  }
}
