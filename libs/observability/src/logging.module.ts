import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { LoggerModule, type Params } from 'nestjs-pino';
import type { DestinationStream } from 'pino';
import { logOptions } from './log-options';
import { RequestIdInstaller } from './request-id';

/**
 * Probes and scrapes come every few seconds and say nothing. What nestjs-pino does for a request also makes every promise of
 * the process dearer from then on (async hooks, until Node 24): hubs and nodes get no other requests.
 */
const QUIET_PATHS = ['/healthz', '/readyz', '/metrics'];

@Module({ providers: [RequestIdInstaller] })
class LoggingModule {}

/**
 * JSON lines through pino for everything that uses Nest's Logger, one line per HTTP request, and request ids.
 * The application still has to call `app.useLogger(app.get(Logger))`.
 */
export function loggingModule(
  processName: string,
  level: string,
  /** Standard output, unless somebody wants to read along. */
  destination?: DestinationStream,
): DynamicModule {
  const options = logOptions(processName, level);
  const pinoHttp: Params['pinoHttp'] = destination ? [options, destination] : options;
  return {
    module: LoggingModule,
    imports: [LoggerModule.forRoot({ pinoHttp, exclude: QUIET_PATHS })],
    exports: [LoggerModule],
  };
}
