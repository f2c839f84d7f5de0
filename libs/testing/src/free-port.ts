import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';

// Below the range that Linux takes for outgoing connections (32768 and up): a port of that range may be gone again
// between the probe and the moment when the process under test binds it.
const FIRST_PORT = 12_000;
const LAST_PORT = 31_999;

let next = randomInt(FIRST_PORT, LAST_PORT + 1);

export function canListen(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port on which nothing listens, and which this process has not handed out recently. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt <= LAST_PORT - FIRST_PORT; attempt += 1) {
    const port = next;
    next = next === LAST_PORT ? FIRST_PORT : next + 1;
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT}`);
}
