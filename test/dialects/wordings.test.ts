// The wires as agents speak them: what one agent writes another reads, the server takes it, and agents really work by it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dialectNames, judgeMessage } from '../../src/app/offline.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { Agent, type AgentOptions } from '../../src/sdk/agent.ts';
import { BatutaError } from '../../src/sdk/errors.ts';
import type { Letter, Wording, Words } from '../../src/sdk/wording.ts';
import { wordingOf } from '../../src/sdk/wordings/index.ts';
import { openPost, type Post } from '../post.ts';

const NOW = Date.parse('2026-02-24T10:00:00.000Z');
/** Who asks whom for what on each wire, as its permissions allow. */
const CASTS = {
  army: { asker: 'lead', role: 'coordinator', doer: 'ana', doerRole: 'writer', to: 'writer', type: 'write' },
  task: { asker: 'lead', role: '', doer: 'ana', doerRole: '', to: '', type: 'write' },
  blog: { asker: 'executor', role: '', doer: 'coder', doerRole: '', to: 'coder', type: 'generate_content' },
  nooble: {
    ...{ asker: 'agent_orchestrator', role: '', doer: 'agent_execution', doerRole: '' },
    ...{ to: 'agent_execution', type: 'agent.execute' },
  },
} as const;
type Name = keyof typeof CASTS;
const NAMES = Object.keys(CASTS) as readonly Name[];
const fault = { code: 'EXECUTION_ERROR', message: 'no ink', recoverable: true, details: { ink: 0 } };

function spoken(name: Name) {
  const wording = wordingOf(name);
  const { asker, role, doer, doerRole, to, type } = CASTS[name];
  const say = (who: 'asker' | 'doer', words: Words, answers?: Letter): JsonObject =>
    wording.envelope(words, {
      ...{ id: `${who}-${words.type}`, now: NOW, answers, correlationId: answers?.correlationId },
      self:
        who === 'asker'
          ? { id: asker, roles: role === '' ? [] : [role], tenant: 'default' }
          : { id: doer, roles: doerRole === '' ? [] : [doerRole], tenant: 'default' },
    });
  const wish = { id: 't1', type, description: 'a page', input: { query: 'tides', topic: 'tides' }, to };
  const request = say('asker', wording.request(wish));
  return { wording, say, request };
}

async function mustBeTaken(envelope: JsonObject, { name }: Wording): Promise<void> {
  if (!dialectNames().includes(name)) return;
  const verdict = await judgeMessage(JSON.parse(JSON.stringify(envelope)), name);
  assert.deepEqual(verdict.faults, [], `${name} ${JSON.stringify(envelope)}`);
}

for (const name of NAMES) {
  test(`on the ${name} wire a request is read as the task it asks for, and the server takes it`, async () => {
    const { wording, request } = spoken(name);
    await mustBeTaken(request, wording);
    const letter = wording.read(request);
    assert.equal(letter.kind, 'task_request');
    assert.match(JSON.stringify(letter.task?.input), /tides/);
    assert.equal(letter.correlationId, letter.replyTo ?? letter.id);
  });

  test(`on the ${name} wire results, failures and progress are read as such, answer the request, and the server takes them`, async () => {
    const { wording, say, request } = spoken(name);
    const asked = wording.read(request);
    const done = say('doer', wording.completed(asked, { page: 'wet' }), asked);
    await mustBeTaken(done, wording);
    const result = wording.read(done);
    assert.deepEqual([result.kind, result.replyTo, result.fault], ['outcome', asked.id, null]);
    assert.match(JSON.stringify(result.result), /wet/);
    const failed = say('doer', wording.failed(asked, fault), asked);
    await mustBeTaken(failed, wording);
    const failure = wording.read(failed);
    assert.ok(['outcome', 'error'].includes(failure.kind));
    assert.deepEqual([failure.fault?.message, failure.fault?.recoverable], ['no ink', true]);
    const words = wording.progress(asked, { percentage: 40, note: 'almost' });
    if (words === null) return;
    const half = say('doer', words, asked);
    await mustBeTaken(half, wording);
    assert.deepEqual([wording.read(half).kind, wording.read(half).fault], ['progress', null]);
  });
}

let post: Post;
before(async () => {
  post = await openPost({ BATUTA_LEASE_MS: '2000' });
});
after(() => post.stop());

async function agentOf(id: string, options: Partial<AgentOptions>): Promise<Agent> {
  const token = String((await post.agent(id)).headers.authorization).slice('Bearer '.length);
  return new Agent({
    url: post.url,
    credentials: { token },
    id,
    dialect: 'army',
    waitSeconds: 5,
    ...options,
  });
}

test('ARMY-24 ARMY-25 ARMY-36 ARMY-40 on the army wire an agent works, tells its progress, fails with a reason, remembers and recalls', async t => {
  const lead = await agentOf('w-lead', { roles: ['coordinator'] });
  const ana = await agentOf('w-ana', { roles: ['writer'], skills: ['write'] });
  t.after(() => Promise.all([lead, ana].map(one => one.stop({ graceMs: 0 }))));
  const told: unknown[] = [];
  lead.on('progress', ({ payload }) => {
    told.push((payload as JsonObject).progress);
  });
  ana.on('task_request', async ({ task }, { progress }) => {
    if ((task.input as JsonObject).topic === 'nothing') throw new Error('there is nothing to write of');
    await progress(40, 'almost');
    await ana.remember({ key: 'page', value: 'tides are wet', tags: ['pages'] });
    return { content: 'tides' };
  });
  await Promise.all([lead.start(), ana.start()]);
  const wish = { to: 'writer', type: 'write', description: 'a page' };
  assert.equal(await lead.request({ ...wish, input: { topic: 'tides' } }), 'tides');
  assert.deepEqual(told, [40]);
  const { results } = (await lead.recall({ text: 'tides', tags: ['pages'] })) as { results: JsonObject[] };
  assert.deepEqual([results[0]?.key, results[0]?.value], ['page', 'tides are wet']);
  await assert.rejects(
    lead.request({ ...wish, input: { topic: 'nothing' } }),
    error => error instanceof BatutaError && /nothing to write of/.test(error.message),
  );
});

test('an agent whose task is cancelled is told by message, and its handler’s signal aborts', async t => {
  const lead = await agentOf('c-lead', { roles: ['coordinator'] });
  const ana = await agentOf('c-ana', { roles: ['analyst'], skills: ['count'] });
  t.after(() => Promise.all([lead, ana].map(one => one.stop({ graceMs: 0 }))));
  const begun = Promise.withResolvers<string>();
  const stopped = Promise.withResolvers<unknown>();
  ana.on('task_request', async ({ task }, { signal }) => {
    begun.resolve(task.id);
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
    stopped.resolve(signal.reason);
    throw signal.reason;
  });
  await Promise.all([lead.start(), ana.start()]);
  const asked = lead.request({ to: 'analyst', type: 'count', description: 'count', input: {} });
  asked.catch(() => undefined);
  const id = await begun.promise;
  await post.admin.ask('POST', `/api/v2/tasks/${id}/cancel`, {});
  const reason = (await stopped.promise) as { readonly why: string };
  assert.equal(reason.why, 'cancelled');
  await assert.rejects(asked);
});
