import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPost, type Post } from '../../../test/post.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Log } from '../../runtime/log.ts';
import type { DialectHands } from './hands.ts';
import { logRefusal } from './rendered.ts';

let post: Post;
before(async () => {
  post = await openPost({}, { dialects: [createToyDialect] });
});
after(() => post.stop());

async function setRails(guardrails: object): Promise<void> {
  const { status, body } = await post.admin.ask('PATCH', '/api/v2/tenants/default', {
    options: { guardrails },
  });
  assert.equal(status, 200, JSON.stringify(body));
}

async function counts(): Promise<Readonly<Record<string, number>>> {
  return (await post.admin.ask('GET', '/protocols/toy/health')).body.guardrails;
}

test('ARMY-81 strings are normalized and stripped before use; in a signed message such characters are refused', async () => {
  const [ann, bob] = [await post.register('ann'), await post.register('bob')];
  const unclean = {
    id: 'c1',
    type: 'note',
    from: 'ann',
    to: 'bob',
    text: { 'e\u0301': 'a\u0007\u202eb\tc\nd' },
  };
  assert.equal((await ann.send('toy', unclean)).status, 202);
  const [delivery] = await bob.read('toy', 'bob', { wait: 5 });
  assert.deepEqual(delivery?.message.text, { é: 'ab\tc\nd' });
  const signed = await ann.send('toy', { ...unclean, id: 'c2', signature: 'x' });
  assert.deepEqual([signed.status, signed.body.code], [400, 'TOY_invalid_request']);
  assert.equal(signed.body.details.rule, 'unclean_text');
  assert.equal((await counts()).unclean_text, 1);
  const clean = await ann.send('toy', { ...unclean, id: 'c3', text: 'clean', signature: 'x' });
  assert.equal(clean.body.code, 'TOY_unauthenticated', 'its text is no fault');
});

test('ARMY-73 a request that offends is refused and not run where the tenant wants it, told with its rule, audited and counted', async () => {
  const ann = await post.register('cay');
  await post.register('doer', { types: ['custom:toy'] });
  const work = (id: string) =>
    ann.send('toy', { id, type: 'work', from: 'cay', to: 'bob', text: { say: 'you f.u.c.k.e.r' } });
  assert.equal((await work('o1')).status, 202, 'this wire has no such rule of its own');
  await setRails({ offensive_content: 'refuse' });
  const refused = await work('o2');
  assert.equal(refused.body.code, 'TOY_policy_violation', JSON.stringify(refused.body));
  assert.equal(refused.body.details.rule, 'offensive_content');
  assert.ok(!JSON.stringify(refused.body).includes('f.u.c.k'));
  assert.equal((await post.admin.ask('GET', '/api/v2/task-status/o2')).status, 404);
  const note = { id: 'o3', type: 'note', from: 'cay', to: 'bob', text: 'you fucker' };
  assert.equal((await ann.send('toy', note)).status, 202, 'only requests are refused');
  assert.equal((await counts()).offensive_content, 1);
  await setRails({ offensive_content: 'allow' });
  assert.equal((await work('o4')).status, 202);
  let entries: readonly { readonly detail: { readonly rule?: string } }[] = [];
  while (!entries.some(({ detail }) => detail.rule === 'offensive_content'))
    entries = (await post.admin.ask('GET', '/api/v2/audit?action=message.refused')).body.entries;
});

test('ARMY-82 how fast each agent may send is a setting of its tenant, and what it may send is told with the wait', async () => {
  const [dan, eve] = [await post.register('dan'), await post.register('eve')];
  await setRails({ messages_per_minute: 6, messages_burst: 2 });
  const notes = (from: string) => [1, 2, 3].map(n => ({ id: `${from}-${n}`, type: 'note', from, to: 'bob' }));
  const { body } = await dan.send('toy', notes('dan'));
  assert.deepEqual(
    body.results.map((one: { readonly status: string }) => one.status),
    ['accepted', 'accepted', 'rejected'],
  );
  assert.equal(body.results[2].error.details.rule, 'message_rate');
  assert.equal((await eve.send('toy', notes('eve')[0])).status, 202, 'another agent is not slowed');
  assert.equal((await counts()).message_rate, 1);
  await setRails({});
  assert.equal((await dan.send('toy', notes('dan')[2])).status, 202);
});

test('ARMY-78 ARMY-82 the guardrails of a tenant are shown with what holds by default, and unsound ones are refused', async () => {
  await setRails({ quality_min: 0.9 });
  const shown = await post.admin.ask('GET', '/api/v2/tenants/default');
  assert.deepEqual(shown.body.options.guardrails, {
    ...{ messages_per_minute: 600, messages_burst: 100, task_time_ms_max: 300_000, task_tokens_max: 4_000 },
    ...{ agent_memory_mb_max: 100, depth_max: 8, quality_min: 0.9, review_critical: true },
    offensive_content: 'wire',
  });
  for (const guardrails of [{ quality_min: 2 }, { depth_max: 0 }, { speed: 1 }]) {
    const { status } = await post.admin.ask('PATCH', '/api/v2/tenants/default', { options: { guardrails } });
    assert.equal(status, 400, JSON.stringify(guardrails));
  }
});

test('ARMY-82 a tenant does not set the pace of its own agents', async () => {
  const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'acme' });
  const { api_key: key, api_secret: secret } = made.body;
  const ask = (guardrails: object) =>
    fetch(`${post.url}/api/v2/tenants/acme`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'x-api-key': key, 'x-api-secret': secret },
      body: JSON.stringify({ options: { guardrails } }),
    });
  assert.equal((await ask({ messages_per_minute: 1_000 })).status, 403);
  assert.equal((await ask({ depth_max: 4 })).status, 200);
});

test('ARMY-75 personal data and credentials of what was refused are masked in the log of the process', () => {
  const lines: object[] = [];
  const note = (message: string, fields?: object): void => void lines.push({ message, ...fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const error = new DomainError(
    'invalid_request',
    'ann@example.com said password=hunter22 to 4111 1111 1111 1111',
  );
  logRefusal(log, createToyDialect({} as DialectHands).dialect, error, { traceId: 't' });
  assert.equal(lines.length, 1);
  assert.doesNotMatch(JSON.stringify(lines), /ann@|hunter22|4111/);
  assert.match(JSON.stringify(lines), /said/);
});
