import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect, type SecureVersion } from 'node:tls';
import { makeAuthority, opensslMissing } from '../../test/certificates.ts';
import type { Clock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { bareServer, followCertificate } from './listening.ts';

const PATIENCE = { headersTimeout: 1_000, requestTimeout: 1_000, keepAliveTimeout: 1_000 };

/** A server whose certificate is the first of two; `look` has it look at its files. */
async function setup(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-listening-'));
  const authority = makeAuthority(folder, 'authority');
  const [old, young] = ['old', 'young'].map(name => authority.sign(name, 'DNS:localhost'));
  assert.ok(old !== undefined && young !== undefined);
  const files = { certificate: join(folder, 'used.crt'), key: join(folder, 'used.key') };
  const use = ({ certificate, key }: typeof files, at: number): void => {
    copyFileSync(certificate, files.certificate);
    copyFileSync(key, files.key);
    for (const file of [files.certificate, files.key]) utimesSync(file, at, at);
  };
  use(old, 1_000);
  const server = bareServer(files, PATIENCE, (_, response) => response.end());
  let look = (): void => assert.fail('nobody looks');
  const clock: Pick<Clock, 'after'> = {
    after: (_, callback) => {
      look = callback;
      return () => {};
    },
  };
  const stop = followCertificate(server, files, clock as Clock, silentLog);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    stop();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  /** Whose certificate a new connection is shown. */
  const shown = async (maxVersion: SecureVersion = 'TLSv1.3'): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion });
    await once(socket, 'secureConnect');
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return String(subject.CN);
  };
  return { files, use, young, shown, look: () => look() };
}

test('ARMY-105 a certificate that was renewed is shown to the connections that come, a broken one not', {
  skip: opensslMissing,
}, async t => {
  const { files, use, young, shown, look } = await setup(t);
  assert.equal(await shown(), 'old');
  writeFileSync(files.certificate, 'half a certi');
  look();
  assert.equal(await shown(), 'old');
  use(young, 2_000);
  look();
  assert.equal(await shown(), 'young');
});

test('ARMY-105 nothing older than TLS 1.3 is spoken', { skip: opensslMissing }, async t => {
  const { shown } = await setup(t);
  await assert.rejects(shown('TLSv1.2'));
});

test('a certificate that cannot be read is a plain error', () => {
  const files = { certificate: '/nowhere/at/all.crt', key: '/nowhere/at/all.key' };
  assert.throws(() => bareServer(files, PATIENCE, () => {}), { code: 'invalid_request', message: /TLS/ });
});
