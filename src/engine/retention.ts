// How long things are kept, and the daily purge of what is past its term. Tasks keep their names and outcomes for ever; content goes
// (`SAM-181`, `SAM-183`).

import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import { pause } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Blobs } from '../store/blobs.ts';
import type { PurgeTerms } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

const DAY_MS = 24 * 3_600_000;

/** Results a year, logs 90 days, samples half a year, artifacts a week. */
export const RETENTION: PurgeTerms = {
  resultsMs: 365 * DAY_MS,
  logsMs: 90 * DAY_MS,
  samplesMs: 182 * DAY_MS,
  artifactsMs: 7 * DAY_MS,
};

const PURGED = 'retention.purged';
const TASKS_A_STEP = 100;
const STEP_PAUSE_MS = 50;

/**
 * Purges what is past its term, a little at a time so that nobody waits for it, with an entry of each step in the audit of the default
 * tenant, whose administrators see to retention; answers how many tasks lost their content.
 */
export async function purge(
  log: Log,
  clock: Clock,
  store: Pick<Store, 'purge' | 'appendAudit'>,
  blobs: Pick<Blobs, 'removeFreed'>,
  terms: PurgeTerms = RETENTION,
): Promise<number> {
  let tasks = 0;
  for (let more = true; more; ) {
    const { freed, ...rest } = await blobs.removeFreed(() => store.purge(terms, TASKS_A_STEP));
    tasks += rest.tasks;
    more = rest.more;
    if (rest.tasks + rest.logs + rest.samples + rest.artifacts > 0) {
      const detail = { ...rest, blobs: freed.length };
      log.info('purged what is past its term', detail);
      await store.appendAudit([{ tenant: DEFAULT_TENANT, action: PURGED, principal: 'system', detail }]);
    }
    if (more) await pause(clock, STEP_PAUSE_MS);
  }
  return tasks;
}
