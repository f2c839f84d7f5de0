import { isMainThread } from 'node:worker_threads';

/**
 * Loaded with `node --require` before an app: ends the process when its parent is gone, however the parent died. The
 * operating system closes the IPC channel for us, so this holds even for SIGKILL.
 */
const GRACE_MS = 10_000;

if (isMainThread) {
  process.on('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS).unref();
  });
  // The listener above would keep the process alive after its graceful shutdown.
  process.channel?.unref();
}
