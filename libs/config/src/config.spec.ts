import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { availableCores } from './available-cores';
import { loadCliConfig, loadDownloadConfig } from './cli-config';
import { loadGatewayConfig } from './gateway-config';
import { loadHubConfig } from './hub-config';
import { loadNodeConfig } from './node-config';
import { ConfigError } from './variable';
import type { Environment } from './variable';
import { VARIABLE_TABLE } from './variable-table';

/** One variable: where it lands, its default, texts with the value they mean, and texts that are refused. */
interface Case {
  readonly variable: string;
  readonly load: (environment: Environment) => object;
  readonly key: string;
  readonly unset: unknown;
  readonly good: readonly (readonly [text: string, value: unknown])[];
  readonly bad: readonly string[];
}

const address = (host: string, port: number) => ({ host, port });
const BAD_ADDRESSES = [
  '7100',
  ':7100',
  'localhost',
  '0.0.0.0:0',
  '0.0.0.0:70000',
  '::1:7100',
  '300.0.0.1:80',
  'a:1,b:2',
];
const BAD_NUMBERS = ['12abc', 'NaN', '-1', '+1', '1e3', '0x10', 'Infinity', ' 1', '1 ', '1,5'];
const LISTEN = {
  good: [
    ['127.0.0.1:65535', address('127.0.0.1', 65_535)],
    ['[::1]:7100', address('::1', 7100)],
    ['[::]:7100', address('::', 7100)],
  ],
  bad: BAD_ADDRESSES,
} as const;
const DIAL = {
  good: [
    ['hub.pangalactic.svc:7100', address('hub.pangalactic.svc', 7100)],
    ['[::1]:7100', address('::1', 7100)],
  ],
  bad: [...BAD_ADDRESSES, '0.0.0.0:7100', '[::]:7100', 'http://hub:7100'],
} as const;
const PATH = { good: [['/var/lib/x', '/var/lib/x']], bad: ['x'.repeat(4097)] } as const;
const SECRET = {
  good: [['sk-0123', 'sk-0123']],
  bad: ['two words', 'line\nbreak', 'schlüssel', 'x'.repeat(1025)],
} as const;

const SECRETS = {
  good: [
    ['sk-0123', ['sk-0123']],
    ['next, last', ['next', 'last']],
  ],
  bad: [...SECRET.bad, ',', 'one,,two', Array.from({ length: 101 }, (_, index) => index).join()],
} as const;

const hub = (variable: string, key: string, rest: Omit<Case, 'variable' | 'load' | 'key'>): Case => ({
  variable,
  load: loadHubConfig,
  key,
  ...rest,
});
const node = (...[variable, key, rest]: Parameters<typeof hub>): Case => ({
  variable,
  load: loadNodeConfig,
  key,
  ...rest,
});
const gateway = (...[variable, key, rest]: Parameters<typeof hub>): Case => ({
  variable,
  load: loadGatewayConfig,
  key,
  ...rest,
});
const shared = (...[variable, key, rest]: Parameters<typeof hub>): Case[] =>
  [hub, node, gateway].map((process) => process(variable, key, rest));

const HUBS: Pick<Case, 'unset' | 'good' | 'bad'> = {
  unset: [address('localhost', 7100)],
  good: [
    ['hub:7100', [address('hub', 7100)]],
    ['hub-0:7100, [::1]:7100,hub-0:7100', [address('hub-0', 7100), address('::1', 7100)]],
  ],
  bad: ['hub', 'hub:7100,', 'hub:7100;other:7100', 'hub:7100,0.0.0.0:7100'],
};

const CASES: readonly Case[] = [
  hub('HUB_BIND_ADDR', 'bindAddress', { unset: address('0.0.0.0', 7100), ...LISTEN }),
  hub('HUB_HTTP_ADDR', 'httpAddress', { unset: address('0.0.0.0', 7101), ...LISTEN }),
  hub('HUB_STATE_BACKEND', 'stateBackend', {
    unset: 'sqlite',
    good: [
      ['sqlite', 'sqlite'],
      ['etcd', 'etcd'],
    ],
    bad: ['redis', 'SQLite', 'memory'],
  }),
  hub('HUB_SQLITE_PATH', 'sqlitePath', { unset: resolve('data/hub.db'), ...PATH }),
  hub('HUB_ETCD_ENDPOINTS', 'etcdEndpoints', {
    unset: ['http://localhost:2379'],
    good: [
      ['http://etcd-0.etcd:2379, http://etcd-1.etcd:2379/', ['http://etcd-0.etcd:2379', 'http://etcd-1.etcd:2379']],
      ['https://etcd:2379', ['https://etcd:2379']],
      ['http://[::1]:2379,http://[::1]:2379', ['http://[::1]:2379']],
    ],
    bad: [
      'http://a:2379,https://b:2379',
      'etcd:2379',
      'ftp://etcd:2379',
      'http:etcd',
      'http://a:2379,',
      'http://a:2379/v3',
      'http://u:p@a:2379',
      ',',
    ],
  }),
  hub('HUB_ADVERTISE_ADDR', 'advertiseAddress', { unset: undefined, ...DIAL }),
  hub('HUB_ETCD_PREFIX', 'etcdPrefix', {
    unset: '/pangalactic/',
    good: [
      ['/', '/'],
      ['clusters/a/', 'clusters/a/'],
    ],
    bad: ['/pangalactic', 'a b/', `${'x'.repeat(128)}/`, 'ä/'],
  }),
  hub('HUB_ETCD_USERNAME', 'etcdUsername', { unset: undefined, ...SECRET }),
  hub('HUB_ETCD_PASSWORD', 'etcdPassword', { unset: undefined, ...SECRET }),
  hub('HUB_ETCD_CA_FILE', 'etcdCaFile', { unset: undefined, ...PATH }),
  hub('HUB_ETCD_CERT_FILE', 'etcdCertFile', { unset: undefined, ...PATH }),
  hub('HUB_ETCD_KEY_FILE', 'etcdKeyFile', { unset: undefined, ...PATH }),
  hub('HUB_HEARTBEAT_TIMEOUT_S', 'heartbeatTimeoutMs', {
    unset: 15_000,
    good: [
      ['1.5', 1500],
      ['0.5', 500],
      ['3600', 3_600_000],
    ],
    bad: [...BAD_NUMBERS, '0', '0.4', '3601'],
  }),
  hub('HUB_PIPELINE_STAGES', 'pipelineStages', {
    unset: 0,
    good: [
      ['3', 3],
      ['1024', 1024],
    ],
    bad: [...BAD_NUMBERS, '1025', '1.5'],
  }),
  hub('HUB_MODELS', 'models', {
    unset: ['pangalactic-nano'],
    good: [['tinyllama-1.1b, pangalactic-nano,tinyllama-1.1b', ['tinyllama-1.1b', 'pangalactic-nano']]],
    bad: ['a,,b', 'a,', '../etc', 'a b', 'x'.repeat(129)],
  }),
  hub('HUB_AUTOLOAD', 'autoload', {
    unset: true,
    good: [
      ['true', true],
      ['false', false],
    ],
    bad: ['1', 'yes', 'True', 'off'],
  }),
  node('NODE_HUB_ADDR', 'hubAddresses', HUBS),
  node('NODE_ID', 'nodeId', {
    unset: undefined,
    good: [
      ['gpu-7.rack_2', 'gpu-7.rack_2'],
      ['x', 'x'],
      ['x'.repeat(253), 'x'.repeat(253)],
    ],
    bad: ['a b', '-a', 'a-', 'a/b', 'ä', 'x'.repeat(254)],
  }),
  node('NODE_BIND_ADDR', 'bindAddress', { unset: address('0.0.0.0', 7200), ...LISTEN }),
  node('NODE_ADVERTISE_ADDR', 'advertiseAddress', { unset: undefined, ...DIAL }),
  node('NODE_HTTP_ADDR', 'httpAddress', { unset: address('0.0.0.0', 7201), ...LISTEN }),
  node('NODE_GPU_COMPUTE_TYPE', 'gpuComputeType', {
    unset: 'cuda',
    good: ['cuda', 'rocm', 'metal', 'cpu'].map((type) => [type, type] as const),
    bad: ['CUDA', 'vulkan', 'cpu,cuda'],
  }),
  node('NODE_SIMULATED_VRAM_GB', 'simulatedVramBytes', {
    unset: 0,
    good: [
      ['0', 0],
      ['24', 24 * 2 ** 30],
      ['0.25', 2 ** 28],
      ['.5', 2 ** 29],
    ],
    bad: [...BAD_NUMBERS, '.', '1.2.3', '1048577'],
  }),
  node('NODE_ACTIVATION_FORMAT', 'activationFormat', {
    unset: 'f32',
    good: [
      ['f16', 'f16'],
      ['int8', 'int8'],
    ],
    bad: ['f8', 'INT8'],
  }),
  node('NODE_INFERENCE_BACKEND', 'inferenceBackend', {
    unset: 'transformers',
    good: [['mock', 'mock']],
    bad: ['vllm', 'Mock'],
  }),
  node('NODE_MODEL_DIR', 'modelDirectory', { unset: resolve('models'), ...PATH }),
  node('NODE_CACHE_DIR', 'cacheDirectory', { unset: resolve('data/cache'), ...PATH }),
  node('NODE_THREADS', 'threads', {
    unset: availableCores(),
    good: [
      ['1', 1],
      ['64', 64],
    ],
    bad: [...BAD_NUMBERS, '0', '1025', '1.5'],
  }),
  node('NODE_DRAIN_TIMEOUT_S', 'drainTimeoutMs', {
    unset: 110_000,
    good: [
      ['0', 0],
      ['2.5', 2500],
    ],
    bad: [...BAD_NUMBERS, '86401'],
  }),
  gateway('GATEWAY_BIND_ADDR', 'bindAddress', { unset: address('0.0.0.0', 8080), ...LISTEN }),
  gateway('GATEWAY_HUB_ADDR', 'hubAddresses', HUBS),
  gateway('GATEWAY_API_KEY', 'apiKey', { unset: undefined, ...SECRETS }),
  gateway('GATEWAY_RATE_LIMIT_RPM', 'rateLimitPerMinute', {
    unset: 0,
    good: [
      ['60', 60],
      ['1000000', 1_000_000],
    ],
    bad: [...BAD_NUMBERS, '1000001', '0.5'],
  }),
  gateway('GATEWAY_QUEUE_TIMEOUT_S', 'queueTimeoutMs', {
    unset: 10_000,
    good: [
      ['0', 0],
      ['0.25', 250],
    ],
    bad: [...BAD_NUMBERS, '3601'],
  }),
  gateway('GATEWAY_RESUME_TIMEOUT_S', 'resumeTimeoutMs', {
    unset: 60_000,
    good: [
      ['1', 1_000],
      ['3600', 3_600_000],
    ],
    bad: [...BAD_NUMBERS, '0', '3601'],
  }),
  gateway('GATEWAY_DRAIN_DELAY_S', 'drainDelayMs', {
    unset: 0,
    good: [
      ['0.5', 500],
      ['60', 60_000],
    ],
    bad: [...BAD_NUMBERS, '61'],
  }),
  ...shared('PANGALACTIC_CLUSTER_TOKEN', 'clusterToken', { unset: undefined, ...SECRETS }),
  ...shared('LOG_LEVEL', 'logLevel', {
    unset: 'info',
    good: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => [level, level] as const),
    bad: ['verbose', 'INFO', '30'],
  }),
  {
    variable: 'HF_ENDPOINT',
    load: loadDownloadConfig,
    key: 'huggingFaceEndpoint',
    unset: 'https://huggingface.co',
    good: [
      ['https://mirror.example/hf/', 'https://mirror.example/hf'],
      ['http://127.0.0.1:8000', 'http://127.0.0.1:8000'],
    ],
    bad: ['huggingface.co', 'https://mirror.example?a=b', 'https://mirror.example#a', 'ftp://mirror.example'],
  },
  {
    variable: 'HF_TOKEN',
    load: loadDownloadConfig,
    key: 'huggingFaceToken',
    unset: undefined,
    good: [['hf_abc', 'hf_abc']],
    bad: ['two words', 'line\nbreak'],
  },
  {
    variable: 'HTTPS_PROXY',
    load: loadDownloadConfig,
    key: 'httpsProxy',
    unset: undefined,
    good: [
      ['http://user:word@proxy:3128', 'http://user:word@proxy:3128/'],
      ['proxy:3128', 'http://proxy:3128/'],
    ],
    bad: ['socks5://proxy:1080', 'http://'],
  },
  {
    variable: 'HTTP_PROXY',
    load: loadDownloadConfig,
    key: 'httpProxy',
    unset: undefined,
    good: [['https://proxy', 'https://proxy/']],
    bad: ['ftp://proxy'],
  },
  {
    variable: 'NO_PROXY',
    load: loadDownloadConfig,
    key: 'noProxy',
    unset: undefined,
    good: [['localhost, .example.com:8080', 'localhost, .example.com:8080']],
    bad: ['höst'],
  },
];

describe.each(CASES)('$variable ($load.name)', ({ variable, load, key, unset, good, bad }) => {
  const value = (environment: Environment) => {
    const found = (load(environment) as Record<string, unknown>)[key];
    return typeof found === 'function' ? (found as () => unknown)() : found;
  };

  it('has its default', () => {
    expect(value({})).toEqual(unset);
    expect(value({ [variable]: '' })).toEqual(unset);
  });

  it.each(good)('accepts %s', (text, expected) => {
    expect(value({ [variable]: text })).toEqual(expected);
  });

  it.each(bad)('refuses %j in one line', (text) => {
    expect(() => value({ [variable]: text })).toThrow(ConfigError);
    expect(() => value({ [variable]: text })).toThrow(new RegExp(`^${variable}=\\S.*: allowed: .+$`));
  });
});

const SECRET_FILES = ['PANGALACTIC_CLUSTER_TOKEN_FILE', 'GATEWAY_API_KEY_FILE'];

describe('every variable of the table', () => {
  it('has a case here, and no case lacks a row', () => {
    const cases = new Set(CASES.map(({ variable }) => variable));
    // Those of files are tested in secret-variable.spec.ts.
    const rows = VARIABLE_TABLE.map(({ variable }) => variable).filter((name) => !SECRET_FILES.includes(name));
    expect(rows.sort()).toEqual([...cases].sort());
  });

  it('is described completely', () => {
    for (const row of VARIABLE_TABLE) expect(Object.values(row)).not.toContain('');
    expect(VARIABLE_TABLE.filter(({ process }) => process === 'all').map(({ variable }) => variable)).toEqual([
      'PANGALACTIC_CLUSTER_TOKEN',
      'PANGALACTIC_CLUSTER_TOKEN_FILE',
      'LOG_LEVEL',
    ]);
  });
});

describe('a bad environment', () => {
  const message = (load: () => unknown) => {
    try {
      load();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('was accepted');
  };

  it('names the variable, the value and what is allowed', () => {
    expect(message(() => loadHubConfig({ HUB_STATE_BACKEND: 'redis' }))).toBe(
      'HUB_STATE_BACKEND="redis": allowed: sqlite, etcd',
    );
    expect(message(() => loadNodeConfig({ NODE_THREADS: '12abc' }))).toBe(
      'NODE_THREADS="12abc": allowed: an integer from 1 to 1024',
    );
  });

  it('reports every mistake, each in a line', () => {
    expect(message(() => loadHubConfig({ HUB_PIPELINE_STAGES: 'x', LOG_LEVEL: 'a\nb' })).split('\n')).toEqual([
      'HUB_PIPELINE_STAGES="x": allowed: an integer from 0 to 1024',
      'LOG_LEVEL="a\\nb": allowed: trace, debug, info, warn, error, fatal, silent',
    ]);
  });

  it('never prints a secret', () => {
    const mistakes = message(() =>
      loadGatewayConfig({ GATEWAY_API_KEY: 'open sesame', PANGALACTIC_CLUSTER_TOKEN: 'open sesame' }),
    );
    expect(mistakes).toContain('GATEWAY_API_KEY=***: allowed:');
    expect(mistakes).toContain('PANGALACTIC_CLUSTER_TOKEN=***: allowed:');
    expect(mistakes).not.toContain('sesame');
    expect(message(() => loadHubConfig({ HUB_ETCD_ENDPOINTS: 'http://root:sesame@etcd:2379' }))).toContain(
      '"http://***@etcd:2379"',
    );
  });

  it('cuts a long value', () => {
    expect(message(() => loadHubConfig({ HUB_MODELS: '/'.repeat(10_000) })).length).toBeLessThan(400);
  });
});

describe('a configuration', () => {
  it('ignores variables of other processes', () => {
    expect(loadHubConfig({ NODE_THREADS: 'many', GATEWAY_BIND_ADDR: 'nowhere' })).toEqual(loadHubConfig({}));
  });

  it('is frozen, all of it', () => {
    const config = loadHubConfig({});
    for (const part of [config, config.bindAddress, config.models, config.etcdEndpoints]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('of the command line holds the cluster token', () => {
    expect(loadCliConfig({ PANGALACTIC_CLUSTER_TOKEN: 't', LOG_LEVEL: 'nonsense' }).clusterToken?.()).toEqual(['t']);
  });
});

describe('loadDownloadConfig', () => {
  it('takes proxies also in lower case, which wins', () => {
    const environment = {
      HTTPS_PROXY: 'http://ignored:1',
      https_proxy: 'http://proxy:2',
      http_proxy: 'http://proxy:3',
    };
    expect(loadDownloadConfig({ ...environment, no_proxy: 'a' })).toMatchObject({
      httpsProxy: 'http://proxy:2/',
      httpProxy: 'http://proxy:3/',
      noProxy: 'a',
    });
  });

  it('never prints a password or a token', () => {
    const load = () => loadDownloadConfig({ HTTPS_PROXY: 'socks5://user:word@proxy:1080', HF_TOKEN: 'two words' });
    expect(load).toThrow(/^HF_TOKEN=\*\*\*: allowed: .*\nHTTPS_PROXY=\*\*\*: allowed: a URL.*$/);
  });
});
