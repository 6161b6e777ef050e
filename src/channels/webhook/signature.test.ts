// The signatures against values that others computed.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { signatureHeaders } from './signature.ts';

const body = Buffer.from('{"test": 2432232314}');
const named = { notificationId: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body };

test('SAM-77 webhook-signature is that of the Standard Webhooks example', () => {
  const headers = signatureHeaders({ ...named, secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] });
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  assert.equal(headers['webhook-id'], named.notificationId);
  assert.equal(headers['webhook-timestamp'], '1614265330');
});

test('SAM-77 X-Webhook-Signature is sha256= and the hex HMAC of the body by the secret as it is written', () => {
  for (const secret of ['webhook_secret_key_123', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'schlüssel']) {
    const headers = signatureHeaders({ ...named, secrets: [secret] });
    const expected = createHmac('sha256', Buffer.from(secret)).update(body).digest('hex');
    assert.equal(headers['X-Webhook-Signature'], `sha256=${expected}`);
    assert.equal(headers['X-Webhook-Timestamp'], '1614265330');
  }
});

test('SAM-77 a secret that only looks base64 is used as it is written', () => {
  for (const secret of ['whsec_', 'whsec_not base64', 'whsec_abc', 'plain']) {
    const { 'webhook-signature': signature } = signatureHeaders({ ...named, secrets: [secret] });
    const hmac = createHmac('sha256', secret).update(`${named.notificationId}.1614265330.`).update(body);
    assert.equal(signature, `v1,${hmac.digest('base64')}`, secret);
  }
});

test('SAM-77 each secret signs webhook-signature, the newest first and alone in X-Webhook-Signature', () => {
  const one = signatureHeaders({ ...named, secrets: ['new'] });
  const other = signatureHeaders({ ...named, secrets: ['old'] });
  const both = signatureHeaders({ ...named, secrets: ['new', 'old'] });
  assert.equal(both['webhook-signature'], `${one['webhook-signature']} ${other['webhook-signature']}`);
  assert.equal(both['X-Webhook-Signature'], one['X-Webhook-Signature']);
});
