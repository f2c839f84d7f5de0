import { Injectable } from '@nestjs/common';
import { isServing } from '@pangalactic/transport';

const PROBE_DEADLINE_MS = 1_000;

/** Asks a node itself, when its session says nothing about it any more. */
@Injectable()
export class NodeProbe {
  /** False for a node that drains, too: it takes no more work. */
  isServing(address: string): Promise<boolean> {
    return isServing(address, PROBE_DEADLINE_MS);
  }
}
