// Players of the army wire on a whole server, for its tests.

import assert from 'node:assert/strict';
import type { JsonObject } from '../src/domain/json.ts';
import type { Answered, Correspondent, Post } from './post.ts';
import type { Loose } from './serve.ts';

/** An agent in a role. */
export interface Player {
  readonly id: string;
  readonly role: string;
  readonly who: Correspondent;
  /** The envelope it would send. */
  envelope(type: string, to: string | readonly string[], payload?: unknown, more?: JsonObject): JsonObject;
  say(
    type: string,
    to: string | readonly string[],
    payload?: unknown,
    more?: JsonObject,
    query?: string,
  ): Promise<Answered>;
  /** As `say`, and it must be accepted. */
  tell(type: string, to: string | readonly string[], payload?: unknown, more?: JsonObject): Promise<string>;
  /** The next message, acknowledged; of a type where one is named, others before it are acknowledged and passed over. */
  next(type?: string, waitS?: number): Promise<Loose>;
  /** What is there now, acknowledged. */
  all(): Promise<readonly Loose[]>;
}

let count = 0;

/** A registered agent with a role, able to do the task types. */
export async function player(
  post: Post,
  role: string,
  id: string,
  types: readonly string[] = [],
  slots = 10,
): Promise<Player> {
  const who = await post.register(id, {
    roles: [`army:${role}`],
    types: types.map(type => `custom:${type}`),
    slots,
  });
  return playing(who, role, id);
}

/** Somebody with credentials, as a player. */
export function playing(who: Correspondent, role: string, id: string): Player {
  const read = (wait: number, max = 1): Promise<readonly Loose[]> => who.read('army', id, { wait, max });
  const envelope: Player['envelope'] = (type, to, payload, more = {}) => ({
    id: `${id}.${++count}`,
    timestamp: new Date().toISOString(),
    ...{ from: role, to, type },
    ...(payload === undefined ? {} : { payload: payload as JsonObject }),
    ...more,
  });
  const say: Player['say'] = (type, to, payload, more, query = '') =>
    who.send('army', envelope(type, to, payload, more), query);
  return {
    ...{ id, role, who, envelope, say },
    async tell(type, to, payload, more) {
      const { status, body } = await say(type, to, payload, more);
      assert.equal(status, 202, JSON.stringify(body));
      return body.message_id;
    },
    async next(type, waitS = 10) {
      for (let tries = 0; tries < 50; tries++) {
        const [delivery] = await read(waitS);
        assert.ok(delivery !== undefined, `no ${type ?? 'message'} came to ${id}`);
        const { status } = await who.settle('army', id, delivery.delivery_id);
        assert.equal(status, 'done');
        if (type === undefined || delivery.message.type === type) return delivery.message;
      }
      throw new Error(`no ${type} among fifty messages to ${id}`);
    },
    async all() {
      const found: Loose[] = [];
      for (;;) {
        const some = await read(0, 100);
        if (some.length === 0) return found;
        for (const { delivery_id, message } of some) {
          await who.settle('army', id, delivery_id);
          found.push(message);
        }
      }
    },
  };
}
