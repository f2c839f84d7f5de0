import { SHARED_VARIABLES } from './shared-variables';
import { hostNames, httpUrl, proxyUrl, secret } from './value-types';
import { derived, loadConfig, variable } from './variable';
import type { ConfigOf, Environment } from './variable';

const CLI_VARIABLES = { clusterToken: SHARED_VARIABLES.clusterToken };

/** Names that other programs have made common. Those of proxies are also read in lower case, which then wins. */
export const DOWNLOAD_VARIABLES = {
  huggingFaceEndpoint: variable(
    'HF_ENDPOINT',
    httpUrl,
    'https://huggingface.co',
    'where `model download` finds repositories: Hugging Face or a mirror of it',
  ),
  huggingFaceToken: derived('HF_TOKEN', secret, '(empty: none)', 'access token for gated and private repositories'),
  httpsProxy: derived('HTTPS_PROXY', proxyUrl, '(empty: that of HTTP_PROXY)', 'proxy for https:// downloads'),
  httpProxy: derived('HTTP_PROXY', proxyUrl, '(empty: none)', 'proxy for http:// downloads'),
  noProxy: derived(
    'NO_PROXY',
    hostNames,
    '(empty: none)',
    'hosts that are reached without a proxy, with their subdomains',
  ),
};

export type CliConfig = ConfigOf<typeof CLI_VARIABLES>;
export type DownloadConfig = ConfigOf<typeof DOWNLOAD_VARIABLES>;

/** What the commands that talk to a running cluster need; flags carry the rest. */
export function loadCliConfig(environment: Environment = process.env): CliConfig {
  return loadConfig(CLI_VARIABLES, environment);
}

export function loadDownloadConfig(environment: Environment = process.env): DownloadConfig {
  const proxies: Record<string, string | undefined> = {};
  for (const { name } of [DOWNLOAD_VARIABLES.httpsProxy, DOWNLOAD_VARIABLES.httpProxy, DOWNLOAD_VARIABLES.noProxy]) {
    proxies[name] = environment[name.toLowerCase()] || environment[name];
  }
  return loadConfig(DOWNLOAD_VARIABLES, { ...environment, ...proxies });
}

/** The environment of a child process: this process's own with `overrides` on top. */
export function childEnvironment(overrides: Environment): NodeJS.ProcessEnv {
  return { ...process.env, ...overrides };
}
