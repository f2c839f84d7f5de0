import { CommandError, reportFailure } from '../command-error';
import { runDemo, type DemoOutput } from './demo';
import { parseDemoOptions } from './demo-options';

async function main(): Promise<void> {
  const options = parseDemoOptions(process.argv.slice(2));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());

  // stdout is for the result alone when a program reads it.
  const words = options.json ? process.stderr : process.stdout;
  const output: DemoOutput = {
    say: (text) => words.write(`${text}\n`),
    write: (text) => words.write(text),
    log: (message) => process.stderr.write(`demo: ${message}\n`),
    result: (json) => process.stdout.write(`${json}\n`),
  };
  await runDemo(options, output, stop.signal);
  if (options.exit && stop.signal.aborted) throw new CommandError('interrupted before the answer was complete');
}

main().catch((error: unknown) => reportFailure('demo', error));
