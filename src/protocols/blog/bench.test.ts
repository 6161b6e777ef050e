// What tests of the blog wire stand on: a server, and messages in few words.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { type Answered, type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

/** One server for a file of tests, started when first asked for. */
export function sharedPost(settings: Readonly<Record<string, string>> = {}): () => Promise<Post> {
  let post: Promise<Post> | null = null;
  after(async () => (await post)?.stop());
  return () => (post ??= openPost(settings));
}

/** A message with what is not said filled in. */
export function message(id: string, more: object, metadata: object = {}): Loose {
  return { id, from: 'executor', to: 'coder', type: 'request', payload: null, metadata, ...more };
}

/** Sends a request and gives the reply, which must come. */
export async function ask(
  who: Correspondent,
  id: string,
  more: object,
  metadata: object = {},
): Promise<Loose> {
  const { status, body } = await who.send('blog', message(id, more, metadata), '?wait=20');
  assert.equal(status, 202, JSON.stringify(body));
  assert.ok(body.reply !== undefined, `no reply came to ${id}`);
  return body.reply;
}

/** Sends what must be refused. */
export async function refused(
  who: Correspondent,
  id: string,
  more: object,
  metadata: object = {},
): Promise<Answered> {
  const answer = await who.send('blog', message(id, more, metadata));
  assert.ok(answer.status >= 400, JSON.stringify(answer.body));
  return answer;
}

/** Messages and events of these types in a tenant's log, as a subscriber of everything is told of them. */
export async function listen(who: Correspondent, inbox: string, types: readonly string[], filter?: unknown) {
  const made = await who.ask('POST', '/protocols/blog/subscriptions', {
    ...{ eventTypes: types, deliver: 'inbox', inbox },
    ...(filter === undefined ? {} : { filter }),
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return async (count: number): Promise<readonly Loose[]> => {
    const heard: Loose[] = [];
    while (heard.length < count) {
      const some = await who.read('blog', inbox, { wait: 10 });
      assert.ok(some.length > 0, `only ${heard.length} of ${count} came: ${JSON.stringify(heard)}`);
      for (const { message: one, delivery_id: id } of some) {
        heard.push(one);
        await who.settle('blog', inbox, id);
      }
    }
    return heard;
  };
}

/** What happened to a task that has ended, as its stream tells it; every event once. */
export async function historyOf(who: Correspondent, id: string): Promise<readonly Loose[]> {
  const { body } = await who.ask('GET', `/api/v2/task-events/${id}`, undefined, {
    accept: 'text/event-stream',
  });
  const events = [...String(body).matchAll(/^data: (\{.*\})$/gm)].map(([, data]) => JSON.parse(data ?? ''));
  return events.filter(({ event_type: type }) => type !== 'task_started');
}
