import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { hire, statusOf, submit, taskOf } from '../e2e/crew.ts';
import { openMailbox } from '../e2e/mailbox.ts';
import { running } from '../e2e/running.ts';

const strict = await running({ BATUTA_ALLOW_PRIVATE_TARGETS: '' });
const open = await running();
const mailbox = await openMailbox();
after(async () => {
  mailbox.close();
  await Promise.all([strict.stop(), open.stop()]);
});

/** Ways to write an address that must not be reached. */
const PRIVATE = [
  '127.0.0.1',
  'localhost',
  'localhost.',
  'LOCALHOST',
  '127.1',
  '0x7f.1',
  '2130706433',
  '017700000001',
  '0',
  '0.0.0.0',
  '①②⑦.⓪.⓪.①',
  '[::1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::7f00:1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
  '[fe80::1]',
  '[fd00::1]',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
];

suite('forbidden targets', () => {
  test('SAM-108 SAM-122 a webhook to any spelling of a private address is 422 when it is handed in, and says no address', async () => {
    await hire(strict.admin, 'ssrf');
    const refused = PRIVATE.map(async (host, n) => {
      const webhook_url = `https://${host}:8443/hook`;
      const body = taskOf(`ssrf-${n}`, 'ssrf', { notification_config: { webhook_url } });
      const answer = await submit(strict.admin, body, { expect: null });
      assert.equal(answer.status, 422, `${host} answered ${JSON.stringify(answer.body)}`);
      assert.equal(answer.body.status, 'rejected', host);
      if (/localhost/i.test(host)) assert.doesNotMatch(answer.body.error.message, /127\.0\.0\.1|::1/);
    });
    await Promise.all(refused);
    const worker = await hire(strict.admin, 'ssrf');
    assert.deepEqual((await worker.exchange({ slots: 50 })).leases, []);
  });

  test('SAM-108 other schemes, credentials in the URL and plain http are refused, what is no URL is 400', async () => {
    const expectations = [
      ['file:///etc/passwd', 422],
      ['gopher://example.org/', 422],
      ['ftp://example.org/', 422],
      ['javascript:alert(1)', 422],
      ['data:text/plain,x', 422],
      ['http://93.184.216.34/', 422],
      ['https://user:pass@93.184.216.34/', 422],
      ['https:///nothing', 400],
      ['https://', 400],
      ['//example.org/hook', 400],
      ['https://93.184.216.34/\r\nX-Evil: 1', 400],
      ['https://93.184.216.34/ HTTP/1.1', 400],
    ] as const;
    for (const [n, [webhook_url, status]] of expectations.entries()) {
      const body = taskOf(`scheme-${n}`, 'ssrf', { notification_config: { webhook_url } });
      const answer = await submit(strict.admin, body, { expect: null });
      assert.equal(answer.status, status, `${webhook_url}: ${JSON.stringify(answer.body)}`);
    }
  });
});

suite('injection into webhooks', () => {
  test('SAM-76 SAM-203 no text of a task becomes a header or a second request of its webhook', async () => {
    const evil = 'x\r\nX-Evil: 1\r\n\r\nPOST /evil HTTP/1.1\r\n\r\n';
    const worker = await hire(open.admin, 'inject');
    const body = {
      ...taskOf('inject', 'inject', {
        notification_config: {
          webhook_url: `${mailbox.url}?a=%0d%0aX-Evil:%201`,
          webhook_secret: evil,
          [evil]: evil,
        },
        context: { metadata: { [evil]: evil } },
        [evil]: evil,
      }),
      description: evil,
      orchestrator_info: {
        agent_id: evil,
        timestamp: '2026-01-01T00:00:00Z',
        session_id: evil,
        user_id: evil,
        correlation_id: evil,
      },
    };
    await submit(open.admin, body, { headers: { traceparent: '00-x%0d%0aX-Evil: 1' } });
    await worker.fail(await worker.lease(), {
      code: evil,
      message: evil,
      recoverable: false,
      details: { [evil]: evil },
    });
    const letter = await mailbox.find(one => one.body.event_type === 'task_failed');
    assert.equal(letter.body.correlation_id, evil);
    assert.equal(letter.body.result.error.message, evil);
    for (const { headers } of mailbox.letters) {
      assert.ok(!('x-evil' in headers));
      for (const value of Object.values(headers)) assert.doesNotMatch(value, /[\r\n]/);
    }
    assert.ok(mailbox.letters.every(one => one.body.task_id === 'inject'));
    const status = await statusOf(open.admin, 'inject', '?include_logs=true&include_context=true');
    assert.equal(status.description, evil);
  });
});
