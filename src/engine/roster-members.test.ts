import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TenantId } from '../domain/ids.ts';
import { Members } from './roster-members.ts';

const member = (tenant: string, name: string) => ({ agent: { tenant: tenant as TenantId }, name });

test('whoever looks for one tenant’s agents meets only those, however many others have theirs', () => {
  const members = new Members<ReturnType<typeof member>>();
  let met = 0;
  for (let number = 0; number < 1_000; number++) {
    const one = member(`tenant-${number}`, 'theirs');
    members.set(`theirs ${number}`, {
      get agent() {
        met += 1;
        return one.agent;
      },
      name: one.name,
    });
  }
  members.set('a', member('acme', 'first'));
  members.set('b', member('acme', 'second'));
  members.set('a', member('acme', 'renewed'));
  met = 0;
  const names = (): readonly string[] => [...members.of('acme' as TenantId)].map(({ name }) => name);
  assert.deepEqual(names(), ['renewed', 'second']);
  members.delete('b');
  members.delete('nobody');
  assert.deepEqual(names(), ['renewed']);
  members.delete('a');
  assert.deepEqual(names(), []);
  assert.equal(members.get('a'), undefined);
  assert.equal(met, 0, 'nobody else was looked at');
  assert.equal([...members.values()].length, 1_000);
});
