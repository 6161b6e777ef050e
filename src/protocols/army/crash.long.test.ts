// A server that is killed in the middle of a flow: what it had stored is gone on from, and nothing finished is done again.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Player, playing } from '../../../test/army-stage.ts';
import { type Correspondent, correspondent } from '../../../test/post.ts';
import { ROOT } from '../../../test/tree.ts';

interface Process {
  readonly url: string;
  kill(): Promise<void>;
}

const PORT = 20_000 + (process.pid % 20_000);

async function serve(dataDir: string): Promise<Process> {
  const child = spawn(
    process.execPath,
    [join(ROOT, 'src/cli/main.ts'), 'serve', '--port', String(PORT), '--data', dataDir],
    {
      env: { ...process.env, BATUTA_RATE_LIMITS: 'off', BATUTA_LOG_LEVEL: 'error', BATUTA_LEASE_MS: '3000' },
      stdio: 'ignore',
    },
  );
  const url = `http://127.0.0.1:${PORT}`;
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${url}/api/v2/health/ready`).catch(() => null);
    if (ready?.status === 200) break;
    assert.ok(tries < 300 && child.exitCode === null, 'the server does not come up');
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  return {
    url,
    async kill() {
      if (child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** In whose name the operator speaks. */
function as(who: Player): { readonly metadata: { readonly priority: string; readonly from_agent: string } } {
  return { metadata: { priority: 'normal', from_agent: who.id } };
}

/** The players, for each of whom the operator acts by name. */
async function castOf(admin: Correspondent): Promise<Record<'boss' | 'ann' | 'bob', Player>> {
  const make = async (role: string, name: string, types: readonly string[]): Promise<Player> => {
    const body = { agent_id: name, roles: [`army:${role}`], types, capacity: { slots: 5 } };
    assert.equal((await admin.ask('POST', '/api/v2/agents', body)).status, 200);
    return playing(admin, role, name);
  };
  return {
    boss: await make('supervisor', 'boss', []),
    ann: await make('researcher', 'ann', ['custom:researchers']),
    bob: await make('writer', 'bob', ['custom:writers']),
  };
}

test('ARMY-68 ARMY-87 a flow killed after one step and after the other resumes after the last stored message: no finished step runs again, and the final response comes once', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-army-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  let server = await serve(dataDir);
  t.after(() => server.kill().catch(() => {}));
  const { api_key: key, api_secret: secret } = JSON.parse(
    readFileSync(join(dataDir, 'credentials.json'), 'utf8'),
  );
  const admin = correspondent(server.url, { 'x-api-key': key, 'x-api-secret': secret });
  const { boss, ann, bob } = await castOf(admin);
  const restart = async (): Promise<void> => {
    await server.kill();
    server = await serve(dataDir);
  };
  const respond = (
    who: Player,
    request: { id: string; payload: { task_id: string } },
    content: string,
  ): Promise<string> =>
    who.tell(
      'task_response',
      'coordinator',
      { task_id: request.payload.task_id, status: 'completed', result: { content } },
      { reply_to: request.id, ...as(who) },
    );
  await boss.tell(
    'task_request',
    'coordinator',
    {
      ...{ task_id: 'root', task_type: 'complex', description: 'x', constraints: { human_review: true } },
      parameters: {
        steps: [
          { role: 'researcher', task_type: 'researchers', description: 'a' },
          { role: 'writer', task_type: 'writers', description: 'b', depends_on: [0] },
        ],
      },
    },
    as(boss),
  );
  await respond(ann, (await ann.next('task_request', 50)) as never, 'facts');
  await restart();
  const write = await bob.next('task_request', 50);
  assert.equal(write.payload.context.results.step_1.content, 'facts');
  assert.deepEqual(await ann.all(), []);
  await respond(bob, write as never, 'text');
  await restart();
  const review = await boss.next('validation_request', 50);
  await boss.tell(
    'validation_response',
    'coordinator',
    { valid: true, score: 1, issues: [], recommendations: [] },
    { reply_to: review.id, ...as(boss) },
  );
  const final = await boss.next('task_response', 50);
  assert.deepEqual([final.payload.task_id, final.payload.result.content], ['root', 'text']);
  assert.deepEqual(final.metadata.tags, ['final_response']);
  assert.deepEqual([await boss.all(), await ann.all(), await bob.all()], [[], [], []]);
});
