import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import type { DestinationStream } from 'pino';
import { logOptions } from './log-options';
import { RequestIdInstaller } from './request-id';

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
  const pinoHttp = destination
    ? LoggerModule.forRoot({ pinoHttp: [options, destination] })
    : LoggerModule.forRoot({ pinoHttp: options });
  return { module: LoggingModule, imports: [pinoHttp], exports: [LoggerModule] };
}
