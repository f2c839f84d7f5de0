import { Catch, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { throwError, type Observable } from 'rxjs';
import { toServiceError } from './errors';
import { logDefect } from './server-call';

/**
 * What a unary handler, a guard or a pipe throws, as a status by the catalogue. Global filters of a hybrid application see
 * HTTP too: that goes to Nest's own filter.
 */
@Catch()
export class GrpcErrorFilter extends BaseExceptionFilter {
  override catch(exception: unknown, host: ArgumentsHost): Observable<never> | void {
    if (host.getType() !== 'rpc') return super.catch(exception, host);
    const call = host.getArgByIndex<{ getPath(): string } | undefined>(2);
    logDefect(exception, call?.getPath() ?? 'unknown');
    return throwError(() => toServiceError(exception));
  }
}
