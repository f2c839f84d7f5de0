import { canListen, type ClusterPorts } from '@pangalactic/testing';

/** Asked before anything starts: one line that names every port in use and how to avoid it, or undefined. */
export async function describeBusyPorts(ports: ClusterPorts): Promise<string | undefined> {
  const wanted = [
    { port: ports.hub, use: 'hub', flag: '--hub-port' },
    { port: ports.hubHttp, use: 'hub', flag: '--hub-port' },
    { port: ports.gateway, use: 'gateway', flag: '--port' },
    ...ports.nodes.flatMap(({ grpc, http }, index) =>
      [grpc, http].map((port) => ({ port, use: `node-${index + 1}`, flag: '--node-port' })),
    ),
  ];
  const free = await Promise.all(wanted.map(({ port }) => canListen(port)));
  const busy = wanted.filter((_, index) => !free[index]);
  if (busy.length === 0) return undefined;
  const names = busy.map(({ port, use }) => `${port} (${use})`).join(', ');
  const flags = [...new Set(busy.map(({ flag }) => flag))].join(', ');
  return `${busy.length === 1 ? 'port in use' : 'ports in use'}: ${names}; end what listens there or choose other ports with ${flags}`;
}
