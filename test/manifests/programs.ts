import { spawnSync } from 'node:child_process';

/** One before the oldest Kubernetes of the guide; Debian's 1.20 knows no components. */
const KUBECTL_MINOR = 27;

export function hasKubectl(): boolean {
  return isHere('kubectl', kubectlIsNewEnough, `1.${KUBECTL_MINOR} or later: https://kubernetes.io/docs/tasks/tools`);
}

export function hasDockerCompose(): boolean {
  return isHere('docker-compose', answers('--version'), 'apt-get install docker-compose');
}

/** What images are built with, and their base image. */
export function hasImageBuilder(): boolean {
  const tools = ['buildah', 'mmdebstrap'].map((tool) => isHere(tool, answers('--version'), `apt-get install ${tool}`));
  return tools.every(Boolean);
}

/**
 * Tests that need a program are skipped on a machine that lacks it, which is said; where CI is set nothing is skipped.
 * @throws Error that says how to get it
 */
function isHere(program: string, check: (program: string) => boolean, howToGet: string): boolean {
  if (check(program)) return true;
  const message = `${program} is missing, or too old: ${howToGet}`;
  if (process.env.CI) throw new Error(message);
  process.stderr.write(`${message}. Tests that need it are skipped.\n`);
  return false;
}

function answers(argument: string) {
  return (program: string) => spawnSync(program, [argument]).status === 0;
}

function kubectlIsNewEnough(kubectl: string): boolean {
  const { status, stdout } = spawnSync(kubectl, ['version', '--client', '--output=json'], { encoding: 'utf8' });
  if (status !== 0) return false;
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { major: string; minor: string } };
  // Vendors write `32+`.
  return Number(clientVersion.major) > 1 || parseInt(clientVersion.minor, 10) >= KUBECTL_MINOR;
}
