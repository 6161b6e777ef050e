// What every store driver must prove: all verbs of the port and all rules its docstrings state, as tests for node:test.

import { describe, test } from 'node:test';
import { changing, timing } from './conformance-changes.ts';
import { delivering, ordering } from './conformance-deliveries.ts';
import { passingOn } from './conformance-heirs.ts';
import { claiming, leasing } from './conformance-leases.ts';
import { posting } from './conformance-mail.ts';
import { dying, settling } from './conformance-mail-ends.ts';
import { taking } from './conformance-mail-taking.ts';
import { feedingRecords, keepingRecords } from './conformance-memory.ts';
import { documenting, keeping, logging } from './conformance-records.ts';
import type { Claim, StoreUnderTest } from './conformance-setup.ts';
import { reading, submitting } from './conformance-tasks.ts';
import { auditing, purging } from './conformance-upkeep.ts';

export type { StoreUnderTest } from './conformance-setup.ts';

const CHAPTERS: Readonly<Record<string, readonly Claim[]>> = {
  submitting,
  reading,
  claiming,
  leasing,
  'passing on': passingOn,
  changing,
  timing,
  delivering,
  ordering,
  logging,
  keeping,
  documenting,
  'keeping records': keepingRecords,
  'feeding records': feedingRecords,
  auditing,
  purging,
  posting,
  taking,
  settling,
  dying,
};

/** Registers the conformance tests of a store; `open` answers a fresh, empty one each time. */
export function testStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    for (const [subject, claims] of Object.entries(CHAPTERS)) {
      describe(subject, () => {
        for (const { title, hold } of claims) {
          test(title, async t => {
            const bundle = await open();
            t.after(() => bundle.close());
            await hold(bundle);
          });
        }
      });
    }
  });
}
