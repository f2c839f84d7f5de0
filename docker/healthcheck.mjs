// HEALTHCHECK of the images, which have no curl: exit code 0 if the URL answers with a 2xx status.
const TIMEOUT_MS = 4_000;

const [url] = process.argv.slice(2);
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  process.exitCode = response.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
