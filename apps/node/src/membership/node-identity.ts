import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { NODE_CONFIG, type NodeConfig } from '@pangalactic/config';

const FILE_PREFIX = 'node-id-';

/**
 * The node's name in the cluster: NODE_ID, else the one it took at its first start, the host name. Nodes that share a
 * working directory listen on different ports, so each keeps its name in a file of its port.
 */
@Injectable()
export class NodeIdentity implements OnModuleInit {
  private readonly logger = new Logger('membership');
  private readonly file: string;
  private current = '';

  constructor(@Inject(NODE_CONFIG) private readonly config: NodeConfig) {
    this.file = join(dirname(config.cacheDirectory), `${FILE_PREFIX}${config.bindAddress.port}`);
  }

  async onModuleInit(): Promise<void> {
    if (this.config.nodeId !== undefined) {
      this.current = this.config.nodeId;
      return;
    }
    await this.keep((await readName(this.file)) || (await this.firstName()));
  }

  get id(): string {
    return this.current;
  }

  /**
   * Another machine has the same name: takes a new one, unless the operator chose this one.
   * @returns whether there is a new name
   */
  async disambiguate(): Promise<boolean> {
    if (this.config.nodeId !== undefined) return false;
    await this.keep(newName());
    return true;
  }

  private async firstName(): Promise<string> {
    const folder = dirname(this.file);
    const files = (await readdir(folder).catch(() => [])).filter((file) => file.startsWith(FILE_PREFIX));
    const taken = await Promise.all(files.map((file) => readName(join(folder, file))));
    return taken.includes(hostname()) ? newName() : hostname();
  }

  private async keep(id: string): Promise<void> {
    this.current = id;
    try {
      await mkdir(dirname(this.file), { recursive: true });
      await writeFile(this.file, `${id}\n`);
    } catch (error) {
      // The name still holds for this run; on a read-only disk the host name comes back at the next start.
      this.logger.warn({ event: 'node_id_not_kept', file: this.file, error: String(error) });
    }
  }
}

function newName(): string {
  return `${hostname()}-${randomBytes(3).toString('hex')}`;
}

/** Empty when there is no such file. */
async function readName(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trim();
}
