import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadHubConfig } from '@pangalactic/config';
import { openConfiguredState, type StateRepository } from '@pangalactic/state';
import { EtcdCluster, type TlsFiles } from '@pangalactic/testing';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

let folder: string;
let files: TlsFiles;
let etcd: EtcdCluster;
let repository: StateRepository | undefined;

/** A CA, and one certificate for members and hubs alike. */
function createCertificates(): TlsFiles {
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-subj', '/CN=spec CA', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  openssl('req', ...newKey, '-subj', '/CN=localhost', '-keyout', at('key.pem'), '-out', at('request.pem'));
  writeFileSync(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n');
  const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('names')];
  openssl('x509', '-req', '-in', at('request.pem'), ...signing, '-out', at('certificate.pem'));
  return { ca: at('ca.pem'), certificate: at('certificate.pem'), key: at('key.pem') };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pangalactic-tls-'));
  files = createCertificates();
  etcd = await EtcdCluster.start(1, files);
});

afterAll(async () => {
  await etcd?.stop();
  rmSync(folder, { recursive: true });
});

afterEach(() => repository?.close());

async function open(files: Record<string, string>): Promise<StateRepository> {
  // A name, because Node warns of TLS to an IP address.
  const endpoints = etcd.endpoints.map((endpoint) => endpoint.replace('127.0.0.1', 'localhost')).join();
  const config = loadHubConfig({ HUB_STATE_BACKEND: 'etcd', HUB_ETCD_ENDPOINTS: endpoints, ...files });
  return (repository = await openConfiguredState(config));
}

it('a hub with the CA and a certificate is served', async () => {
  const served = await open({
    HUB_ETCD_CA_FILE: files.ca,
    HUB_ETCD_CERT_FILE: files.certificate,
    HUB_ETCD_KEY_FILE: files.key,
  });
  const { term, resign } = await served.lead();
  expect(await served.commit({ puts: [{ key: 'a', value: '1' }], guards: [{ term }] })).toMatchObject({
    outcome: 'applied',
  });
  for await (const { changes } of served.watch('', 1)) {
    expect(changes).toEqual([{ key: 'a', value: '1' }]);
    break;
  }
  await resign();
});

it('a hub without them is not', async () => {
  const withoutCertificate: Record<string, string>[] = [{}, { HUB_ETCD_CA_FILE: files.ca }];
  for (const incomplete of withoutCertificate) {
    await expect((await open(incomplete)).get('a')).rejects.toMatchObject({ code: 'state_unavailable' });
    await repository?.close();
  }
});
