import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { repositoryRoot } from '@pangalactic/contracts';

const DRIVER = join(repositoryRoot(), 'test/gpu/swiftshader/vk_swiftshader_icd.json');

/**
 * Tests that need a GPU take one made of software. They are skipped where it is not installed, which is said; where CI is
 * set nothing is skipped.
 * @throws Error that says how to get it
 */
export function hasSoftwareGpu(): boolean {
  if (existsSync(DRIVER)) return true;
  const message = 'SwiftShader is missing: `node test/gpu/install.mjs` gets it on Debian, after `apt-get update`';
  if (process.env.CI) throw new Error(message);
  process.stderr.write(`${message}. Tests that need it are skipped.\n`);
  return false;
}

/** For processes: this GPU alone is seen. */
export const SOFTWARE_GPU = { VK_ICD_FILENAMES: DRIVER };

/**
 * For nodes: the driver's tool, which is asked for the memory and comes with NVIDIA's GPUs only.
 * @param folder that the tool is written to
 */
export async function nvidiaSmi(folder: string, mib: number): Promise<{ PATH: string }> {
  await mkdir(folder, { recursive: true });
  const tool = join(folder, 'nvidia-smi');
  await writeFile(tool, `#!/bin/sh\necho ${mib}\n`);
  await chmod(tool, 0o755);
  return { PATH: `${folder}${delimiter}${process.env.PATH}` };
}
