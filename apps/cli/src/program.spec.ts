import { describe, expect, it } from 'vitest';
import { createProgram } from './program';

describe('createProgram', () => {
  const commands = createProgram().commands.flatMap((group) =>
    group.commands.map((command) => `${group.name()} ${command.name()}`),
  );

  it('has the documented commands', () => {
    expect(commands).toEqual([
      'hub start',
      'hub state',
      'node start',
      'node drain',
      'node uncordon',
      'gateway start',
      'cluster status',
      'cluster topology',
      'cluster plan',
      'model download',
      'model catalogue',
      'model plan',
      'model list',
      'model show',
      'model load',
      'model unload',
    ]);
  });

  it('moves state', () => {
    const hub = createProgram().commands.find((group) => group.name() === 'hub');
    const state = hub?.commands.find((command) => command.name() === 'state');
    expect(state?.commands.map((command) => command.name())).toEqual(['export', 'import']);
  });

  it('takes its version from package.json', () => {
    expect(createProgram().version()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it.each(['status', 'topology', 'plan'])('cluster %s asks localhost:7100 by default', (name) => {
    const cluster = createProgram().commands.find((group) => group.name() === 'cluster');
    expect(cluster?.commands.find((command) => command.name() === name)?.opts()).toEqual({ hubAddr: 'localhost:7100' });
  });
});
