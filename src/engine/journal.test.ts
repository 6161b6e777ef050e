import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT, type TaskKey } from '../domain/ids.ts';
import type { Log } from '../runtime/log.ts';
import { silentLog } from '../runtime/log.ts';
import type { LogLine, Sample } from '../store/rows.ts';
import { Journal } from './journal.ts';

const LINE: LogLine = {
  tenant: DEFAULT_TENANT,
  key: 1 as TaskKey,
  at: 0,
  level: 'INFO',
  component: 'test',
  attempt: 1,
  agentId: null,
  message: 'said',
};

function setup() {
  const clock = new VirtualClock();
  const writes: { readonly lines: number; readonly samples: number; release(): void }[] = [];
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: message => void errors.push(message) };
  const state = { held: false, closed: false };
  const journal = new Journal(log, clock, {
    record(lines: readonly LogLine[], samples: readonly Sample[]) {
      const { promise, resolve } = Promise.withResolvers<void>();
      writes.push({ lines: lines.length, samples: samples.length, release: resolve });
      if (state.closed) return Promise.reject(new Error('the store is closed'));
      if (!state.held) resolve();
      return promise;
    },
  });
  return { clock, journal, writes, errors, state };
}

test('SAM-65 a flush waits for what was kept before it, and not for what comes meanwhile', async () => {
  const { journal, writes, state } = setup();
  state.held = true;
  journal.line(LINE);
  const first = journal.flush();
  await Promise.resolve();
  journal.line(LINE);
  const second = journal.flush();
  writes[0]?.release();
  await first;
  while (writes.length < 2) await Promise.resolve();
  journal.line(LINE);
  writes[1]?.release();
  await second;
  assert.deepEqual(
    writes.map(({ lines }) => lines),
    [1, 1],
  );
});

test('a journal that was flushed writes nothing more, and stopping it leaves no timer that would', async () => {
  const { clock, journal, writes, errors, state } = setup();
  journal.line(LINE);
  journal.sample({ tenant: DEFAULT_TENANT, key: LINE.key, attempt: 1, at: 0, cpuPercent: 1 });
  await journal.flush();
  await clock.advance(1_000);
  journal.line(LINE);
  await journal.stop();
  state.closed = true;
  await clock.advance(1_000);
  assert.deepEqual(
    writes.map(({ lines, samples }) => [lines, samples]),
    [
      [1, 1],
      [1, 0],
    ],
  );
  assert.deepEqual(errors, []);
});
