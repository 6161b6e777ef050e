import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Outbox, type Word } from './outbox.ts';

const result = (token: number, output = 'done') =>
  ({ task_id: `t${token}`, fencing_token: token, status: 'completed', output }) as const;
const progress = (token: number, more: object) => ({ task_id: `t${token}`, fencing_token: token, ...more });

function spoken(parcel: readonly Word[]): string[] {
  return parcel.map(({ kind, item }) => `${kind} ${item.fencing_token}`);
}

test('what a task says stays in order, whatever is lost on the way and however it is cut into parcels', () => {
  const step = fc.record({
    token: fc.integer({ min: 1, max: 3 }),
    fate: fc.constantFrom('heard', 'unheard'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const outbox = new Outbox();
      const heard: string[] = [];
      const away: { parcel: readonly Word[]; fate: string }[] = [];
      steps.forEach(({ token, fate }, n) => {
        outbox.log({ task_id: 't', fencing_token: token, timestamp: '', level: 'INFO', message: String(n) });
        if (n % 2 === 0) away.push({ parcel: outbox.take(), fate });
        if (n % 3 === 0) {
          const landed = away.shift();
          if (landed?.fate === 'unheard') outbox.unheard(landed.parcel);
          else if (landed !== undefined) {
            outbox.heard(landed.parcel);
            heard.push(...messages(landed.parcel));
          }
        }
      });
      for (const { parcel } of away) {
        outbox.heard(parcel);
        heard.push(...messages(parcel));
      }
      while (!outbox.empty) {
        const parcel = outbox.take();
        outbox.heard(parcel);
        heard.push(...messages(parcel));
      }
      assert.equal(heard.length, steps.length);
      for (const token of [1, 2, 3]) {
        const own = heard.filter(message => steps[Number(message)]?.token === token).map(Number);
        assert.deepEqual(
          own,
          own.toSorted((a, b) => a - b),
        );
      }
    }),
  );
});

function messages(parcel: readonly Word[]): string[] {
  return parcel.flatMap(word => (word.kind === 'log' ? [word.item.message] : []));
}

test('a result is held while its own progress is on the way, and only then', () => {
  const outbox = new Outbox();
  outbox.progress(progress(1, { percentage: 5 }));
  const first = outbox.take();
  outbox.result(result(1));
  outbox.result(result(2));
  assert.equal(outbox.urgent, true);
  assert.deepEqual(spoken(outbox.take()), ['result 2']);
  assert.equal(outbox.urgent, false);
  assert.deepEqual(outbox.take(), []);
  outbox.heard(first);
  assert.deepEqual(spoken(outbox.take()), ['result 1']);
});

test('a parcel stays under the size a body may have, but a lone giant goes all the same', () => {
  const outbox = new Outbox();
  const giant = 'x'.repeat(2 * 1024 * 1024);
  for (const token of [1, 2, 3]) outbox.result(result(token, giant));
  outbox.result(result(4, giant + giant + giant));
  assert.deepEqual(spoken(outbox.take()), ['result 1']);
  assert.deepEqual(spoken(outbox.take()), ['result 2']);
  assert.deepEqual(spoken(outbox.take()), ['result 3']);
  assert.deepEqual(spoken(outbox.take()), ['result 4']);
});

test('a refused parcel is halved until the culprit stands alone; what is no result is then dropped', () => {
  const outbox = new Outbox();
  for (let token = 1; token <= 8; token += 1) outbox.progress(progress(token, { percentage: token }));
  const heard: string[] = [];
  let exchanges = 0;
  while (!outbox.empty) {
    const parcel = outbox.take();
    exchanges += 1;
    if (spoken(parcel).includes('progress 6')) outbox.refused(parcel, 'percentage');
    else {
      heard.push(...spoken(parcel));
      outbox.heard(parcel);
    }
  }
  assert.deepEqual(
    heard,
    [1, 2, 3, 4, 5, 7, 8].map(token => `progress ${token}`),
  );
  assert.ok(exchanges < 12, `${exchanges} exchanges`);
});

test('a log message longer than a log may hold is cut', () => {
  const outbox = new Outbox();
  outbox.log({ task_id: 't', fencing_token: 1, timestamp: '', level: 'INFO', message: 'y'.repeat(20_000) });
  const [word] = outbox.take();
  assert.ok(word?.kind === 'log' && word.item.message.length <= 16 * 1024 + 2);
});
