import { Injectable } from '@nestjs/common';
import type { ReadinessCheck } from '@pangalactic/lifecycle';
import { RouteDirectory } from '../routing/route-directory';
import { unreadyReason } from './readiness';

/** Ready to serve what is deployed. The hub's absence does not matter: known routes go on working. */
@Injectable()
export class RouteReadiness implements ReadinessCheck {
  readonly name = 'routes';

  constructor(private readonly directory: RouteDirectory) {}

  check(): string | null {
    return unreadyReason({ table: this.directory.current, sinceLastReadyMs: this.directory.sinceLastReadyMs });
  }
}
