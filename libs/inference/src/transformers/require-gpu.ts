import { PangalacticError } from '@pangalactic/contracts';
import type { GpuCheck } from './engine/gpu-check';
import { startProcess } from './engine-host';

/** Opening a GPU and compiling a few shaders takes a second or two. */
const TIMEOUT_MS = 60_000;

/**
 * Lets an engine process try the GPU: whatever a driver does to it, there is an answer.
 * @throws PangalacticError `unsupported_compute_type` when there is no GPU that computes as it should
 */
export async function requireGpu(options: {
  readonly workerFile?: string;
  readonly onWarning?: (line: string) => void;
}): Promise<GpuCheck> {
  const host = startProcess(options.workerFile, options.onWarning);
  let check: GpuCheck | undefined;
  host.onMessage((message) => {
    if (message.kind === 'checked') ({ check } = message);
  });
  host.post({ kind: 'check-gpu' });
  const timer = setTimeout(() => {
    check = { failure: `no answer within ${TIMEOUT_MS / 1000} s` };
    host.kill?.();
  }, TIMEOUT_MS);
  const end = await host.ended;
  clearTimeout(timer);
  const { failure, maxRunTokens } = check ?? { failure: `the check failed: ${end}` };
  if (failure !== undefined) throw new PangalacticError('unsupported_compute_type', withoutPlace(failure));
  if (maxRunTokens !== undefined) {
    options.onWarning?.(
      `attention over more than ${maxRunTokens} new tokens is wrong on this GPU: prompts are computed in more steps, slower`,
    );
  }
  return { maxRunTokens };
}

/** onnxruntime puts source file, line, function and condition before its reason. */
function withoutPlace(failure: string): string {
  return failure.replace(/^.* was false\. /s, '');
}
