// Who is calling, where a balancer stands between: its word counts only where the settings say so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { running } from '../test/e2e/running.ts';

const RATES = { BATUTA_RATE_LIMITS: 'standard=100000,status=100000,webhooks=100000' };

/** How a stranger who has asked too often, and then another one, are answered, both by way of the same balancer. */
async function answers(settings: Readonly<Record<string, string>>): Promise<readonly number[]> {
  const house = await running({ ...RATES, ...settings });
  try {
    const ask = async (caller: string): Promise<number> => {
      const headers = { 'x-forwarded-for': caller, authorization: 'Bearer nonsense' };
      const answer = await fetch(`${house.url}/api/v2/task-status/x`, { headers });
      await answer.body?.cancel();
      return answer.status;
    };
    for (let count = 0; count < 110; count++) await ask('198.51.100.1');
    return [await ask('198.51.100.1'), await ask('198.51.100.2')];
  } finally {
    await house.stop();
  }
}

test('behind a balancer that is believed, whoever asks too often stands in nobody else’s way', async () => {
  assert.deepEqual(await answers({ BATUTA_TRUSTED_PROXIES: '127.0.0.0/8' }), [429, 401]);
});

test('who is no balancer of ours cannot say that somebody else is calling', async () => {
  assert.deepEqual(await answers({}), [429, 429]);
});
