import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse } from '../../../test/harness.ts';
import { type AgentId, DEFAULT_TENANT } from '../../domain/ids.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { Directory } from './directory.ts';

test('an agent that was not there at the last look is found as soon as it has registered, however short that look was ago', async t => {
  const { engine, stop } = await openHouse();
  t.after(stop);
  const standing: Clock = { ...systemClock, monotonic: () => 0 };
  const directory = new Directory(standing, engine);
  assert.equal(await directory.agent(DEFAULT_TENANT, 'ann'), null);
  const ann = { tenant: DEFAULT_TENANT, id: 'ann' as AgentId, kind: 'worker', slots: 1 } as const;
  await engine.registerAgent({ ...ann, types: [], capabilities: [], capacity: {} });
  assert.equal((await directory.agent(DEFAULT_TENANT, 'ann'))?.agent.id, 'ann');
  assert.equal(await directory.agent(DEFAULT_TENANT, 'ben'), null);
});
