// Conformance, a chapter of its own: leases that pass from one holder to another.

import assert from 'node:assert/strict';
import type { AgentId } from '../domain/ids.ts';
import {
  claimedOne,
  current,
  ending,
  historyOf,
  order,
  reporting,
  submitted,
  suite,
  WORKER,
} from './conformance-setup.ts';
import type { Claimed, TaskChange } from './rows.ts';

/** Claims about changes that name an heir. */
export const passingOn = suite(test => {
  test('ARMY-46 a lease passes on with all that was reported, under a new token and in one step; the old token leads nothing more', async bundle => {
    const { store } = bundle;
    const heir = 'heir' as AgentId;
    await submitted(store, order('a'), order('b'));
    const claim = await claimedOne(store, { leaseMs: 2_000 });
    await store.commit([reporting(claim, 40, { checkpoint: { at: 4 } })]);
    const before = await current(store, 'a');
    await bundle.passTime(1_500);
    // What follows in the same call finds the lease gone already.
    const outcomes = await store.commit([passing(claim, heir), ending(claim), passing(claim, WORKER)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['done', 'stale', 'stale'],
    );
    await bundle.reopen();
    const after = await current(bundle.store, 'a');
    const { token, agentId, claimedAt, expiresAt, deadlineAt } = after.lease ?? assert.fail();
    assert.ok(token > claim.token);
    assert.deepEqual([agentId, after.agentId, after.version], [heir, heir, before.version + 1]);
    assert.deepEqual([after.attempt, after.state], [1, 'running']);
    assert.deepEqual([after.progress, after.checkpoint], [{ percentage: 40 }, { at: 4 }]);
    assert.deepEqual([claimedAt, deadlineAt], [before.lease?.claimedAt, before.lease?.deadlineAt]);
    assert.ok(expiresAt - claimedAt >= 10_500);
    const last = (await historyOf(bundle.store, after.key)).at(-1);
    assert.deepEqual([last?.sequence, last?.kind], [after.version, 'note']);
    const { key } = after;
    assert.deepEqual(await bundle.store.renew([{ key, token: claim.token, leaseMs: 1_000 }]), [
      { status: 'lost' },
    ]);
    assert.equal((await claimedOne(bundle.store)).token > token, true);
    assert.deepEqual(await bundle.store.commit([ending(claim)]), [{ status: 'stale' }]);
    const [outcome] = await bundle.store.commit([ending({ ...claim, task: after, token })]);
    assert.equal(outcome?.status, 'done');
    const { lastToken, agentId: doer } = await current(bundle.store, 'a');
    assert.deepEqual([lastToken, doer], [token, heir]);
  });
});

function passing(claim: Claimed, agentId: AgentId): TaskChange {
  return {
    key: claim.task.key,
    guard: { by: 'lease', token: claim.token },
    events: [{ kind: 'note', name: 'handoff', detail: { to: agentId } }],
    heir: { agentId, leaseMs: 9_000 },
  };
}
