// Telling of tasks over a real store: in order, until it was told, and what cannot be worded holds up nothing.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import { openHouse, orderOf, until } from '../../../test/harness.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TaskEvent } from '../../domain/event.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Draft } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import { draft, wire } from './fixture.test.ts';
import { Herald } from './herald.ts';

/** A herald of two tasks that end, whose words fail as a test says. */
async function heralded(
  t: TestContext,
  choice: {
    readonly word?: (task: Task, event: TaskEvent) => void;
    readonly say?: (drafts: readonly Draft[]) => void;
  },
) {
  const house = await openHouse({ run: async () => ({ status: 'completed', output: {} }) });
  const { store, engine } = house;
  const said: string[] = [];
  const lost: string[] = [];
  const speaking: MessageWire = {
    ...wire,
    tellsOf: () => true,
    taskNews(task, event) {
      choice.word?.(task, event);
      return [draft(`${task.id} ${event.sequence}`)];
    },
    unrecoverable(message) {
      lost.push(String(message.taskId));
      return draft(`lost ${message.taskId}`);
    },
  };
  const herald = new Herald({
    ...{ log: silentLog, clock: systemClock, store, mail: store.mail, engine, leads: () => true },
    wires: new Map([['plain', speaking]]),
    release: { passed: async (task, event) => ({ task, event }) },
    async say(drafts) {
      choice.say?.(drafts);
      said.push(...drafts.map(({ id }) => id));
    },
  });
  t.after(async () => {
    await herald.stop();
    await house.stop();
  });
  herald.start();
  await herald.follow(DEFAULT_TENANT);
  for (const id of ['one', 'two']) {
    await engine.submit([orderOf(id)]);
    await until(house, id, ({ outcome }) => outcome !== null);
  }
  const wanted = async (id: string): Promise<readonly string[]> => {
    const task = await engine.task(DEFAULT_TENANT, id as Task['id']);
    const events = await store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 100 });
    return events.map(({ sequence }) => `${id} ${sequence}`);
  };
  const told = (last: string): Promise<void> => eventually(() => said.includes(last));
  return { store, said, lost, wanted, told };
}

const of = (said: readonly string[], id: string): readonly string[] =>
  said.filter(one => one.startsWith(`${id} `));

test('TASK-44 an event whose publication fails is published later, in order per task', async t => {
  let failing = 2;
  const { said, wanted, told } = await heralded(t, {
    say() {
      if (failing-- > 0) throw new DomainError('unavailable', 'the disk is full');
    },
  });
  const [one, two] = [await wanted('one'), await wanted('two')];
  await told(two.at(-1) ?? '');
  assert.ok(failing < 0 && one.length > 3);
  assert.deepEqual([...new Set(of(said, 'one'))], one);
  assert.deepEqual([...new Set(of(said, 'two'))], two);
});

test('TASK-44 TASK-59 an event is validated before it is published: one that cannot be worded is a dead letter of which those who watch are told, and holds up no other', async t => {
  const { store, said, lost, wanted, told } = await heralded(t, {
    word({ id }, event) {
      if (id === 'one' && event.kind === 'state' && event.to === 'running')
        throw new DomainError('unprocessable', 'progress must be number');
    },
  });
  const two = await wanted('two');
  await told(two.at(-1) ?? '');
  assert.deepEqual(of(said, 'two'), two);
  assert.equal(of(said, 'one').length, (await wanted('one')).length - 1);
  assert.deepEqual([lost, of(said, 'lost')], [['one'], ['lost one']]);
  const [letter, ...more] = await store.mail.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(
    [letter?.reason, letter?.error, letter?.dialect, more.length],
    ['invalid', 'progress must be number', 'plain', 0],
  );
  assert.equal(JSON.parse(letter?.raw ?? '').to, 'running');
});
