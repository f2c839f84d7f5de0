import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { logOptions } from './log-options';

function log(level: string, write: (logger: pino.Logger) => void): Record<string, unknown>[] {
  const output: string[] = [];
  write(pino(logOptions('hub', level), { write: (line) => void output.push(line) }));
  return output.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('lines of the framework', () => {
  const write = (logger: pino.Logger) => {
    logger.info({ context: 'RouterExplorer' }, 'Mapped {/readyz, GET} route');
    logger.warn({ context: 'RouterExplorer' }, 'Duplicate route');
    logger.info({ context: 'registry', event: 'node_registered' });
    logger.info('text alone');
  };

  it('are left out at info, unless they warn', () => {
    expect(log('info', write)).toMatchObject([
      { level: 'warn', msg: 'Duplicate route' },
      { level: 'info', event: 'node_registered' },
      { level: 'info', msg: 'text alone' },
    ]);
  });

  it('are there for debugging', () => {
    expect(log('debug', write)[0]).toMatchObject({ level: 'debug', msg: 'Mapped {/readyz, GET} route' });
  });
});

describe('a line', () => {
  it('is flat: no host, no process id', () => {
    const [line] = log('info', (logger) => logger.info({ event: 'hub_started', term: 3 }));
    expect(line).toEqual({
      level: 'info',
      time: expect.any(String) as string,
      process: 'hub',
      event: 'hub_started',
      term: 3,
    });
  });

  it.each(['authorization', 'apiKey', 'clusterToken'])('hides %s down to the third level', (name) => {
    const [line] = log('info', (logger) => logger.info({ [name]: 's', a: { [name]: 's', b: { [name]: 's' } } }));
    expect(line).toMatchObject({ [name]: '***', a: { [name]: '***', b: { [name]: '***' } } });
  });
});
