import { Logger } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ConfigError } from '@pangalactic/config';
import { PangalacticError } from '@pangalactic/contracts';
import { createApp, startApp, type AppSettings } from './app';
import { DRAIN_OPTIONS, type DrainOptions } from './drain-coordinator';
import { ListenError } from './listen-error';

export interface ProcessSettings<Config> extends AppSettings<Config> {
  /** @throws ConfigError */
  readonly loadConfig: () => Config;
}

/**
 * What Nest may turn into a drain. Its own list also has SIGSEGV, SIGABRT and other crashes, which must end the process
 * at once, so that its supervisor restarts it.
 */
const SHUTDOWN_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'];

/** The whole life of a process: configuration, start, service, drain at a signal, exit. */
export async function runApp<Config>(settings: ProcessSettings<Config>): Promise<void> {
  exitOnDefects(settings.name);
  let app: NestFastifyApplication | undefined;
  try {
    const config = settings.loadConfig();
    app = await createApp(settings, config);
    // process.exit: re-raising the signal, Nest's default, does nothing to process 1 of a container.
    app.enableShutdownHooks(SHUTDOWN_SIGNALS, { useProcessExit: true });
    leaveInTime(settings.name, app.get<DrainOptions>(DRAIN_OPTIONS));
    await startApp(app, settings, config);
  } catch (error) {
    reportFailedStart(settings.name, error);
    process.exit(1);
  }
}

/** Log lines are written in the background. */
const LAST_LOG_MS = 100;

/**
 * Whatever hangs then, a hook or a thread in a native call, the process ends. By SIGKILL, because process.exit waits for
 * such a thread.
 */
function leaveInTime(name: string, { deadlineMs, closeGraceMs, leaveGraceMs }: DrainOptions): void {
  const limitMs = deadlineMs + closeGraceMs + leaveGraceMs;
  const leave = () => {
    logFatal(name, 'shutdown_overdue', new Error(`still shutting down after ${limitMs} ms`));
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), LAST_LOG_MS);
  };
  for (const signal of SHUTDOWN_SIGNALS) process.once(signal, () => setTimeout(leave, limitMs).unref());
}

/** Mistakes of the operator are one line; anything else is a defect and keeps its stack. */
function reportFailedStart(name: string, error: unknown): void {
  if (error instanceof ConfigError || error instanceof ListenError || error instanceof PangalacticError) {
    process.stderr.write(`${error.message}\n`);
  } else {
    logFatal(name, 'start_failed', error);
  }
}

/** State is unknown after either of these; the cluster heals as for any dead process. */
function exitOnDefects(name: string): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logFatal(name, event, error);
      process.exit(1);
    });
  }
}

function logFatal(name: string, event: string, error: unknown): void {
  // Until the application has its logger, lines are buffered.
  Logger.flush();
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  new Logger(name).fatal({ event, error: message, stack });
}
