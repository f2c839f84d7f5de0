import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { availableCores, cgroupCores } from './available-cores';

const reader = (files: Record<string, string>) => (path: string) => files[path];

describe('cgroupCores', () => {
  it.each<[string, Record<string, string>, number]>([
    ['no cgroup file system', {}, Infinity],
    [
      'a container with its own namespace',
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' },
      1.5,
    ],
    ['an unlimited group', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' }, Infinity],
    [
      'the tightest of the ancestors',
      {
        '/proc/self/cgroup': '0::/kubepods/pod/container\n',
        '/sys/fs/cgroup/kubepods/pod/container/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/kubepods/pod/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/kubepods/cpu.max': '800000 100000\n',
      },
      2,
    ],
    [
      'cgroup v1 beside v2',
      { '/proc/self/cgroup': '4:cpu:/a\n0::/b\n', '/sys/fs/cgroup/b/cpu.max': '300000 100000\n' },
      3,
    ],
    ['garbage', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'many cores' }, Infinity],
  ])('%s', (_, files, cores) => {
    expect(cgroupCores(reader(files))).toBe(cores);
  });
});

describe('availableCores', () => {
  it('is a whole number of cores of this machine', () => {
    const cores = availableCores();
    expect(Number.isInteger(cores)).toBe(true);
    expect(cores).toBeGreaterThanOrEqual(1);
    expect(cores).toBeLessThanOrEqual(availableParallelism());
  });
});
