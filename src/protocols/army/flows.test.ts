// Flows: the built-in coordinator sees root tasks through specialists, validator, person and memory, each step a stored message.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player, playing } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

suite('flows', () => {
  let post: Post;
  before(async () => {
    post = await openPost();
  });
  after(() => post.stop());

  /** Every message of an exchange, as the operator's stream tells them: type, from and to. */
  async function exchange(correlation: string): Promise<readonly Loose[]> {
    const { mailroom } = { mailroom: await log(correlation) };
    return mailroom;
  }

  async function log(correlation: string): Promise<readonly Loose[]> {
    const stop = new AbortController();
    const response = await fetch(`${post.url}/protocols/army/events`, {
      headers: { ...post.admin.headers, 'last-event-id': '0' },
      signal: stop.signal,
    });
    const found: Loose[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8');
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const line = text
          .slice(0, end)
          .split('\n')
          .find(one => one.startsWith('data: '));
        text = text.slice(end + 2);
        if (line !== undefined) found.push(JSON.parse(line.slice(6)));
      }
      if (found.some(one => one.correlation_id === correlation && one.metadata.tags?.includes('final_response')))
        break;
    }
    stop.abort();
    return found.filter(one => one.correlation_id === correlation);
  }

  async function respond(who: Player, request: Loose, content: string): Promise<void> {
    await who.tell(
      'task_response',
      'coordinator',
      { task_id: request.payload.task_id, status: 'completed', result: { content, sources: [] } },
      { reply_to: request.id },
    );
  }

  test('ARMY-62 ARMY-63 ARMY-64 a task asked of the coordinator goes to its specialist, the validator and the memory, each step a stored message, and ends with a final response', async () => {
    const boss = await player(post, 'supervisor', 'f1-boss');
    const ann = await player(post, 'researcher', 'f1-ann', ['research']);
    const asked = await boss.tell('task_request', 'coordinator', {
      task_id: 'f1',
      task_type: 'research',
      description: 'look into X',
      parameters: { topic: 'X' },
    });
    const request = await ann.next('task_request');
    assert.equal(request.payload.task_type, 'research');
    assert.equal(request.payload.parameters.topic, 'X');
    assert.equal(request.from, 'coordinator');
    await respond(ann, request, 'X is fine');
    const final = await boss.next('task_response');
    assert.deepEqual(final.payload, {
      ...{ task_id: 'f1', status: 'completed' },
      result: { content: 'X is fine', sources: [] },
    });
    assert.deepEqual(final.metadata.tags, ['final_response']);
    assert.equal(final.reply_to, asked);
    const steps = (await exchange(asked)).map(({ type, from, to }) => `${from} ${type} ${to}`);
    assert.deepEqual(steps, [
      'supervisor task_request coordinator',
      'coordinator task_request researcher',
      'researcher task_response coordinator',
      'researcher task_response coordinator',
      'coordinator validation_request validator',
      'validator validation_response coordinator',
      'coordinator memory_store memory',
      'memory memory_response coordinator',
      'coordinator task_response supervisor',
    ]);
    await boss.tell('memory_query', 'memory', { query: { type: 'key', text: 'f1_result' } });
    const memory = await boss.next('memory_response');
    assert.equal(memory.payload.results[0].value.content, 'X is fine');
  });
  void playing;
});
