// The ends of workflows as they are told outside of messages: by mail, webhook and Slack, to real receivers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Mailbox, openMailbox } from '../../../test/e2e/mailbox.ts';
import { eventually } from '../../../test/eventually.ts';
import { openMailServer, type TestMailServer } from '../../../test/mail-server.ts';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, orchestrator, refused } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
let mail: TestMailServer;
let hook: Mailbox;
let slack: Mailbox;

before(async () => {
  mail = await openMailServer();
  hook = await openMailbox();
  slack = await openMailbox();
  post = await openPost({
    BATUTA_SMTP_URL: `smtp://127.0.0.1:${mail.port}`,
    BATUTA_MAIL_FROM: 'batuta@ours.example',
    BATUTA_MAIL_DOMAINS: 'example.com',
  });
  boss = await orchestrator(post);
  for (const [id, tool] of [
    ['works', 'recommend'],
    ['breaks', 'nope'],
  ])
    await post.admin.ask('POST', '/protocols/nooble/workflow-templates', {
      ...{ template_id: id, version: '1.0' },
      steps: [{ step_id: 'only', name: 'do_it', step_type: 'tool_task', tool_name: tool }],
    });
});
after(async () => {
  await post.stop();
  await mail.stop();
  hook.close();
  slack.close();
});

/** Runs a workflow to its end, and until its task's phase of telling is over; answers what was sent of it. */
async function run(template: string, config: object, more: Loose = {}) {
  const start = message(
    'workflow.start',
    { workflow_template_id: template, execution_mode: 'sync', notification_config: config as never },
    more,
  );
  const answer = await asked(boss, start, 20);
  const id: string = start.task_id;
  const deliveries = async (): Promise<readonly Loose[]> =>
    (await post.admin.ask('GET', `/api/v2/deliveries?task_id=${id}`)).body.deliveries;
  await eventually(async () => {
    const all = await deliveries();
    return all.every(({ status }) => status !== 'pending' && status !== 'sending');
  });
  return {
    ...{ id, answer, deliveries: await deliveries() },
    told: (await deliveries())
      .map(({ channel, endpoint, status }) => `${channel} ${endpoint} ${status}`)
      .sort(),
    mails: mail.mails.filter(({ text }) => text.includes(id)),
    hooks: hook.letters.filter(({ raw }) => raw.includes(id)),
    posts: slack.letters.filter(({ raw }) => raw.includes(id)),
  };
}

const names = () => ({
  on_complete: ['email', 'webhook'],
  on_error: ['email', 'webhook', 'slack'],
  recipients: [
    'ann@example.com',
    'mailto:bob@example.com',
    'ann@example.com',
    hook.url,
    `slack:${slack.url}`,
  ],
});

test('NOOB-52 success is told by the channels of on_complete, in one delivery for each recipient that suits them', async () => {
  const { answer, told, mails, hooks, posts, deliveries, id } = await run('works', names());
  assert.equal(answer.metadata.warnings, undefined);
  assert.deepEqual(told, [
    'email mailto:ann@example.com delivered',
    'email mailto:bob@example.com delivered',
    `webhook ${hook.url} delivered`,
  ]);
  assert.deepEqual(new Set(deliveries.map(({ event_type: type }) => type)), new Set(['task_completed']));
  assert.deepEqual(mails.map(({ to }) => to[0]).sort(), ['ann@example.com', 'bob@example.com']);
  const [{ text } = { text: '' }] = mails;
  const workflow: string = answer.metadata.workflow_id;
  assert.match(text, /^Subject: Workflow works completed$/m);
  assert.match(
    text,
    new RegExp(`^Workflow: +${workflow}\nStatus: +completed\nDuration: +\\d.* s\nTask: +${id}$`, 'm'),
  );
  assert.equal(posts.length, 0);
  assert.equal(hooks.length, 1);
  const { body, headers } = hooks[0] ?? { body: {}, headers: {} };
  assert.deepEqual(body.type, { domain: 'workflow', action: 'status' });
  assert.deepEqual(
    [body.status, body.payload.workflow_status, body.task_id, body.metadata.workflow_id, body.error],
    ['completed', 'completed', id, workflow, undefined],
  );
  assert.match(String((headers as Record<string, string>)['webhook-signature']), /^v1,/);
});

test('NOOB-52 failure is told by the channels of on_error, with what failed and why', async () => {
  const { told, mails, hooks, posts, id } = await run('breaks', names());
  assert.deepEqual(told, [
    'email mailto:ann@example.com delivered',
    'email mailto:bob@example.com delivered',
    `slack ${slack.url} delivered`,
    `webhook ${hook.url} delivered`,
  ]);
  assert.equal(mails.length, 2);
  const text = mails[0]?.text ?? '';
  assert.match(text, /^Subject: Workflow breaks failed$/m);
  assert.match(
    text,
    /^Step: +only\nStatus: +failed\nDuration: .*\nError: +AEX_003\nReason: +step only failed: there is no such tool here$/m,
  );
  assert.deepEqual([hooks[0]?.body.status, hooks[0]?.body.error.code], ['failed', 'AEX_003']);
  assert.equal(hooks[0]?.body.metadata.error_code, 'AEX_003');
  assert.equal(posts[0]?.body.text, 'Workflow breaks failed');
  assert.match(JSON.stringify(posts[0]?.body.blocks), new RegExp(`Error: AEX_003.*Task: ${id}`));
});

test('NOOB-52 a workflow that ran out of time is told of as one that failed', async () => {
  await post.admin.ask('POST', '/protocols/nooble/workflow-templates', {
    ...{ template_id: 'waits', version: '1.0' },
    steps: [{ step_id: 'wait', name: 'wait', step_type: 'wait', seconds: 3_600 }],
  });
  const start = message('workflow.start', {
    ...{ workflow_template_id: 'waits', execution_mode: 'sync', timeout_seconds: 1 },
    notification_config: { on_complete: ['email'], on_error: ['email'], recipients: ['ann@example.com'] },
  });
  await asked(boss, start, 20);
  await eventually(() => mail.mails.some(({ text }) => text.includes(start.task_id)));
  const { text } = mail.mails.find(one => one.text.includes(start.task_id)) ?? { text: '' };
  assert.match(text, /^Subject: Workflow waits timed out$/m);
  assert.match(text, /^Error: +GEN_002$/m);
});

test('NOOB-52 who no recipient suits tells those its tenant has set, and what nobody hears is a warning', async () => {
  const bare = { on_complete: ['email', 'webhook'], recipients: [`slack:${slack.url}`] };
  const none = await run('works', bare);
  assert.deepEqual(none.told, []);
  const [noMail, noUrl, noSlack] = none.answer.metadata.warnings;
  assert.match(noMail, /^nobody will be told by email: no recipient is a mail address/);
  assert.match(noUrl, /^nobody will be told by webhook: no recipient is a URL/);
  assert.match(noSlack, /^slack:.* will be told nothing: slack is not among the channels$/);
  const admin = await post.agent('agent_orchestrator', { permissions: ['admin', 'message:send'] });
  const set = (recipients: readonly string[]) =>
    asked(admin, message('system.update', { notification_recipients: recipients }));
  await set(['usual@example.com', hook.url]);
  const usual = await run('works', { ...bare, recipients: ['own@example.com'] });
  assert.deepEqual(usual.told, ['email mailto:own@example.com delivered', `webhook ${hook.url} delivered`]);
  await set([]);
});

test('NOOB-52 a start with recipients that are none, may not be reached or are too many is refused with VAL_001', async () => {
  const of = async (recipients: readonly string[], more: object = {}) => {
    const { status, body } = await refused(
      boss,
      message('workflow.start', {
        workflow_template_id: 'works',
        notification_config: { on_complete: ['email', 'webhook', 'slack'], recipients, ...more } as never,
      }),
    );
    return [status, body.code, body.details.errors?.[0]?.field ?? ''];
  };
  const at = (index: number) => `payload.notification_config.recipients.${index}`;
  for (const wrong of [
    'bob',
    'a@b\r\nBcc: eve@example.com',
    'ftp://x.example',
    'mailto:a@b,c@d',
    'pigeon:coo',
  ])
    assert.deepEqual(await of(['ann@example.com', wrong]), [400, 'VAL_001', at(1)], wrong);
  for (const wrong of ['https://10.0.0.1/hook', 'slack:https://169.254.169.254/x', 'ann@elsewhere.example'])
    assert.deepEqual(await of([wrong]), [400, 'VAL_001', at(0)], wrong);
  const many = Array.from({ length: 21 }, (_, n) => `a${n}@example.com`);
  assert.equal((await of(many))[1], 'VAL_004');
  assert.equal((await of([], { on_error: ['pigeon'] }))[1], 'VAL_001');
});

test('NOOB-52 NOOB-33 of a sensitive workflow only ids and states are told', async () => {
  const { mails, hooks, posts } = await run('breaks', names(), { metadata: { sensitive_data: true } });
  assert.deepEqual([mails.length, hooks.length, posts.length], [2, 1, 1]);
  assert.match(mails[0]?.text ?? '', /^Error: +AEX_003\nTask: /m);
  assert.equal(hooks[0]?.body.error.code, 'AEX_003');
  assert.equal(hooks[0]?.body.payload.steps_status, undefined);
  for (const said of [
    ...mails.map(({ text }) => text),
    ...[...hooks, ...posts].map(({ raw }) => String(raw)),
  ])
    assert.doesNotMatch(said, /no such tool|Reason/);
});
