// Random lives of messages against a model: whatever order verbs come in, whichever commits fail, whenever the store is opened
// anew, readers get what a list of entries would give them, and what is in memory beside the rows stays one with them.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Priority } from '../../domain/priority.ts';
import { seededRandom } from '../../runtime/random.ts';
import { INBOX, letter, taken } from '../conformance-mail-setup.ts';
import { ACME } from '../conformance-setup.ts';
import type { MailVerdict } from '../mail.ts';
import type { Store } from '../store.ts';
import { faultsInDatabase } from './copy.ts';
import { openSqliteInProcess } from './open.ts';

const VISIBLE_MS = 100;
const DELIVERIES_MAX = 3;

interface ModelEntry {
  readonly id: string;
  readonly lane: string;
  readonly priority: Priority;
  /** Known once it was taken. */
  entry: number;
  attempt: number;
  notBefore: number;
  readonly expiresAt: number;
  holder: string | null;
  /** Who held it last. */
  last: string | null;
  until: number;
}

type Moment = 'before' | 'after';
type Step =
  | {
      readonly do: 'post';
      readonly lane: string;
      readonly priority: Priority;
      readonly delayMs: number;
      readonly ttlMs: number | null;
      readonly held: string | null;
    }
  | { readonly do: 'take'; readonly reader: string; readonly limit: number }
  | {
      readonly do: 'settle';
      readonly index: number;
      readonly outcome: MailVerdict['outcome'];
      readonly ms: number;
    }
  | { readonly do: 'release'; readonly reader: string }
  | { readonly do: 'sweep' }
  | { readonly do: 'pass time'; readonly ms: number }
  | { readonly do: 'reopen' }
  | { readonly do: 'fail the next commit'; readonly moment: Moment };

const reader = fc.constantFrom('one', 'two');
const doing = <Name extends Step['do']>(name: Name) => fc.constant(name);
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: doing('post'),
      lane: fc.constantFrom('x', 'y'),
      priority: fc.constantFrom<Priority>(2, 5),
      delayMs: fc.constantFrom(0, 0, 0, 60),
      ttlMs: fc.constantFrom(null, null, 150),
      held: fc.constantFrom(null, null, null, 'one'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: doing('take'), reader, limit: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: doing('settle'),
      index: fc.nat(30),
      outcome: fc.constantFrom<MailVerdict['outcome']>('ack', 'nack', 'extend', 'bury'),
      ms: fc.constantFrom(0, 50),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: doing('release'), reader }) },
  { weight: 1, arbitrary: fc.record({ do: doing('sweep') }) },
  { weight: 2, arbitrary: fc.record({ do: doing('pass time'), ms: fc.integer({ min: 1, max: 80 }) }) },
  { weight: 1, arbitrary: fc.record({ do: doing('reopen') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: doing('fail the next commit'),
      moment: fc.constantFrom<Moment>('before', 'after'),
    }),
  },
);

/** A store and the entries it should have. */
class World {
  readonly #folder = mkdtempSync(join(tmpdir(), 'batuta-mail-'));
  readonly #path = join(this.#folder, 'batuta.db');
  #store: Store;
  #now = 1_700_000_000_000;
  #failing: Moment | null = null;
  #made = 0;
  #entries: ModelEntry[] = [];
  #settled = new Map<string, string>();
  #given: { readonly entry: number; readonly attempt: number; readonly reader: string }[] = [];
  #dead: string[] = [];

  constructor() {
    this.#store = this.#open();
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'post':
        return this.#post(step);
      case 'take':
        return this.#take(step.reader, step.limit);
      case 'settle':
        return this.#settle(step.index, step.outcome, step.ms);
      case 'release':
        if (!(await this.#tookEffect(() => this.#store.mail.release(step.reader)))) return;
        for (const entry of this.#entries.filter(({ holder }) => holder === step.reader)) {
          Object.assign(entry, { holder: null, last: null, attempt: entry.attempt - 1, notBefore: 0 });
        }
        return;
      case 'sweep':
        return this.#sweep();
      case 'pass time':
        this.#now += step.ms;
        return;
      case 'reopen':
        await this.#store.stop();
        this.#store = this.#open();
        return;
      case 'fail the next commit':
        this.#failing = step.moment;
        return;
    }
  }

  /** Fails where the store holds anything else than the model, or its rows break their law. */
  async check(): Promise<void> {
    const [depth] = await this.#store.mail.depths(ACME);
    const held = this.#entries.filter(({ holder }) => holder !== null).length;
    assert.deepEqual([depth?.waiting ?? 0, depth?.held ?? 0], [this.#entries.length - held, held]);
    const letters = await this.#store.mail.deadLetters({ tenant: ACME, limit: 1_000 });
    assert.deepEqual(letters.map(({ mail }) => mail?.id).sort(), [...this.#dead].sort());
  }

  async end(): Promise<void> {
    await this.#store.stop();
    try {
      assert.deepEqual(faultsInDatabase(this.#path), []);
    } finally {
      rmSync(this.#folder, { recursive: true });
    }
  }

  async #post(step: Step & { readonly do: 'post' }): Promise<void> {
    this.#made += 1;
    const id = `m${this.#made}`;
    const { lane, priority, held } = step;
    const notBefore = this.#now + step.delayMs;
    const expiresAt = step.ttlMs === null ? null : this.#now + step.ttlMs;
    const entry = {
      inbox: INBOX,
      lane,
      notBefore,
      ...(held !== null && { held: { by: held, ms: VISIBLE_MS } }),
    };
    const sent = letter(id, { priority, expiresAt, entries: [entry] });
    if (!(await this.#tookEffect(() => this.#store.mail.post([sent])))) return;
    this.#entries.push({
      ...{ id, lane, priority, attempt: held === null ? 0 : 1, holder: held, last: held },
      entry: 0,
      notBefore: held === null ? notBefore : 0,
      expiresAt: expiresAt ?? Number.POSITIVE_INFINITY,
      until: this.#now + VISIBLE_MS,
    });
  }

  async #take(by: string, limit: number): Promise<void> {
    const expected: ModelEntry[] = [];
    const before = structuredClone(this.#entries);
    const deadBefore = [...this.#dead];
    while (expected.length < limit) {
      const next = this.#nextFor(by);
      if (next === undefined) break;
      if (next.expiresAt <= this.#now) {
        this.#die(next);
        continue;
      }
      Object.assign(next, { holder: by, last: by, attempt: next.attempt + 1, until: this.#now + VISIBLE_MS });
      expected.push(next);
    }
    const happened = await this.#tookEffect(
      () => taken(this.#store.mail, by, { limit, visibilityMs: VISIBLE_MS }),
      list => {
        assert.deepEqual(
          list.map(one => [one.mail.id, one.attempt]),
          expected.map(one => [one.id, one.attempt]),
        );
        list.forEach((one, index) => {
          const entry = expected[index];
          if (entry !== undefined) entry.entry = one.entry;
          this.#given.push({ entry: one.entry, attempt: one.attempt, reader: by });
        });
      },
    );
    if (happened) return;
    this.#entries = before;
    this.#dead = deadBefore;
  }

  /** The most urgent and oldest entry that nothing keeps from that reader. */
  #nextFor(by: string): ModelEntry | undefined {
    const may = this.#entries.filter(one => {
      if (one.holder !== null || one.notBefore > this.#now) return false;
      const lane = this.#entries.filter(other => other.lane === one.lane);
      if (lane.some(({ holder }) => holder !== null && holder !== by)) return false;
      const ahead = lane.filter(other => other.priority === one.priority && other.holder === null);
      return ahead[0] === one;
    });
    return may.sort(
      (a, b) => a.priority - b.priority || this.#entries.indexOf(a) - this.#entries.indexOf(b),
    )[0];
  }

  async #settle(index: number, outcome: MailVerdict['outcome'], ms: number): Promise<void> {
    const given = this.#given[index % Math.max(1, this.#given.length)];
    if (given === undefined) return;
    const found = this.#entries.find(
      one =>
        one.entry === given.entry &&
        one.attempt === given.attempt &&
        one.last === given.reader &&
        one.attempt > 0,
    );
    const key = `${given.entry} ${given.attempt}`;
    const before = found?.holder === given.reader ? undefined : this.#settled.get(key);
    const isAnothers = this.#entries.some(
      one => one.lane === found?.lane && one.holder !== null && one.holder !== given.reader,
    );
    let expected = found === undefined ? 'lost' : 'done';
    if (before !== undefined) expected = before === `${outcome} ${given.reader}` ? 'repeated' : 'lost';
    else if (outcome === 'extend' && found?.holder === null && isAnothers) expected = 'lost';
    const settlement = { tenant: ACME, ...given, verdict: verdictOf(outcome, ms) };
    const happened = await this.#tookEffect(
      () => this.#store.mail.settle([settlement]),
      ([answer]) => assert.equal(answer?.status, expected, `${outcome} of ${key}`),
    );
    if (!happened || expected !== 'done' || found === undefined) return;
    if (outcome === 'extend') {
      Object.assign(found, { holder: given.reader, until: this.#now + ms, notBefore: 0 });
      return;
    }
    this.#settled.set(key, `${outcome} ${given.reader}`);
    if (outcome === 'nack') Object.assign(found, { holder: null, notBefore: this.#now + ms });
    else if (outcome === 'bury') this.#die(found);
    else this.#entries.splice(this.#entries.indexOf(found), 1);
  }

  async #sweep(): Promise<void> {
    if (!(await this.#tookEffect(() => this.#store.mail.sweep(1_000, DELIVERIES_MAX)))) return;
    for (const one of [...this.#entries]) {
      if (one.holder !== null && one.until > this.#now) continue;
      if (one.holder !== null) one.notBefore = 0;
      one.holder = null;
      if (one.attempt >= DELIVERIES_MAX || one.expiresAt <= this.#now) this.#die(one);
    }
  }

  #die(entry: ModelEntry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    this.#dead.push(entry.id);
  }

  #open(): Store {
    const now = (): number => this.#now;
    return openSqliteInProcess({
      path: this.#path,
      clock: { now, monotonic: now, after: () => () => {} },
      random: seededRandom(1, now),
      auditKey: 'k',
      faults: moment => {
        if (moment === this.#failing) throw new Error('the machine stopped');
      },
    });
  }

  /** Runs a verb whose commit may fail: true where it took effect, whatever its caller learnt. */
  async #tookEffect<Answer>(
    run: () => Promise<Answer>,
    check: (answer: Answer) => void = () => {},
  ): Promise<boolean> {
    const failing = this.#failing;
    try {
      check(await run());
      return true;
    } catch (error) {
      if (failing === null) throw error;
      return failing === 'after';
    } finally {
      this.#failing = null;
    }
  }
}

function verdictOf(outcome: MailVerdict['outcome'], ms: number): MailVerdict {
  switch (outcome) {
    case 'ack':
      return { outcome };
    case 'nack':
      return { outcome, delayMs: ms };
    case 'extend':
      return { outcome, visibilityMs: ms };
    case 'bury':
      return { outcome, reason: 'rejected_by_receiver', error: 'no' };
  }
}

test('any order of posts, takes and verdicts, with commits failing and the store opened anew, leaves what a model expects', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 10, maxLength: 60, size: 'max' }), async walk => {
      const world = new World();
      try {
        for (const step of walk) {
          await world.step(step);
          if (step.do !== 'fail the next commit') await world.check();
        }
      } finally {
        await world.end();
      }
    }),
    { numRuns: 40, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false },
  );
});
