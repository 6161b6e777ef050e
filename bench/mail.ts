// How many messages a second go through a store: posted, taken, acknowledged. `node bench/mail.ts [seconds] [--postgres]` prints one
// line of JSON; many callers send one message each and wait for it, a few readers of as many inboxes take what there is.

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { TenantId } from '../src/domain/ids.ts';
import { inboxOfAgent, type MessageId } from '../src/domain/message.ts';
import type { MailStore, NewMail } from '../src/store/mail.ts';
import { openPostgres } from '../src/store/postgres/open.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { freshDatabase } from '../test/postgres.ts';

const { values, positionals } = parseArgs({
  options: { postgres: { type: 'boolean' }, callers: { type: 'string', default: '128' } },
  allowPositionals: true,
});
const SECONDS = Number(positionals[0] ?? 5);
const CALLERS = Number(values.callers);
const TENANT = 'acme' as TenantId;
const READERS = 4;
const TAKE_MAX = 64;
/** With the envelope about 500 bytes. */
const BODY = 'x'.repeat(200);

let made = 0;

function message(caller: number): NewMail {
  made += 1;
  const id = `6f1c9a52-3b0e-4c8e-9a3d-${String(made).padStart(12, '0')}`;
  return {
    tenant: TENANT,
    id: id as MessageId,
    name: `acme sam ${id}`,
    fingerprint: `2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e88${made}`,
    dialect: 'sam',
    type: 'TASK_REQUEST',
    from: `agent-${caller}`,
    correlationId: `0d5e${id}`,
    replyTo: null,
    taskId: null,
    priority: 5,
    expiresAt: null,
    content: {
      envelope: {
        protocol: 'SAM',
        version: '1.0.0',
        message_id: id,
        message_type: 'TASK_REQUEST',
        sender: `agent-${caller}`,
      },
      meaning: { act: 'notify', topic: 'measured', data: BODY },
    },
    entries: [{ inbox: inboxOfAgent(`reader-${caller % READERS}`), lane: `agent-${caller}` }],
    inboxMax: 1_000_000,
  };
}

interface Waits {
  readonly settled: Map<string, () => void>;
  /** Called when something was posted for that reader. */
  readonly wake: (() => void)[];
}

/** Sends one message after the other, each once the one before is acknowledged. */
async function send(
  mail: MailStore,
  caller: number,
  { until, waits }: { readonly until: number; readonly waits: Waits },
): Promise<number> {
  let sent = 0;
  while (performance.now() < until) {
    const one = message(caller);
    const ended = new Promise<void>(resolve => waits.settled.set(one.id, resolve));
    const posting = mail.post([one]);
    // As the mailroom does where the store does one thing after the other.
    if (values.postgres !== true) waits.wake[caller % READERS]?.();
    await posting;
    waits.wake[caller % READERS]?.();
    await ended;
    sent += 1;
  }
  return sent;
}

/** Takes what comes and acknowledges each by itself, until told to stop. */
async function read(
  mail: MailStore,
  reader: number,
  { waits, isOver }: { readonly waits: Waits; readonly isOver: () => boolean },
): Promise<void> {
  const inboxes = [inboxOfAgent(`reader-${reader}`)];
  while (!isOver()) {
    const come = new Promise<void>(resolve => {
      waits.wake[reader] = resolve;
    });
    const [taken = []] = await mail.take([
      { tenant: TENANT, inboxes, reader: `r${reader}`, limit: TAKE_MAX, visibilityMs: 30_000, replyTo: null },
    ]);
    for (const one of taken) {
      const settlement = {
        tenant: TENANT,
        reader: `r${reader}`,
        entry: one.entry,
        attempt: one.attempt,
      } as const;
      void mail.settle([{ ...settlement, verdict: { outcome: 'ack' } }]).then(() => {
        waits.settled.get(one.mail.id)?.();
        waits.settled.delete(one.mail.id);
      });
    }
    if (taken.length === 0) await come;
  }
}

async function measure({ mail }: Store): Promise<{ readonly perSecond: number; readonly cpuUs: number }> {
  const waits: Waits = { settled: new Map(), wake: [] };
  let over = false;
  const cpu = process.cpuUsage();
  const started = performance.now();
  const until = started + SECONDS * 1_000;
  const readers = Array.from({ length: READERS }, (_, reader) =>
    read(mail, reader, { waits, isOver: () => over }),
  );
  const sent = await Promise.all(
    Array.from({ length: CALLERS }, (_, caller) => send(mail, caller, { until, waits })),
  );
  over = true;
  for (const wake of waits.wake) wake();
  await Promise.all(readers);
  const messages = sent.reduce((sum, count) => sum + count);
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: Math.round((messages / (performance.now() - started)) * 1_000),
    cpuUs: Math.round((user + system) / messages),
  };
}

/** Microseconds a message when so many are taken and acknowledged in one call, of an inbox in which so many wait. */
async function backlog({ mail }: Store, waiting: number): Promise<number> {
  for (let posted = 0; posted < waiting; posted += 1_000)
    await mail.post(Array.from({ length: 1_000 }, (_, index) => message(index * READERS)));
  const started = performance.now();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    const [taken = []] = await mail.take([
      {
        tenant: TENANT,
        inboxes: [inboxOfAgent('reader-0')],
        reader: 'r',
        limit: 100,
        visibilityMs: 30_000,
        replyTo: null,
      },
    ]);
    if (taken.length !== 100) throw new Error('a backlog must be enough to take from');
    await mail.settle(
      taken.map(({ entry, attempt }) => ({
        tenant: TENANT,
        reader: 'r',
        entry,
        attempt,
        verdict: { outcome: 'ack' },
      })),
    );
  }
  return Math.round(((performance.now() - started) * 1_000) / (rounds * 100));
}

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const directory = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const database = values.postgres === true ? await freshDatabase() : null;
const store =
  database === null
    ? await openSqlite({ path: join(directory, 'batuta.db'), auditKey: 'bench' })
    : await openPostgres({ url: database.url, auditKey: 'bench' });
try {
  const flow = await measure(store);
  const small = await backlog(store, 3_000);
  const large = await backlog(store, database === null ? 300_000 : 60_000);
  const figures = { ...flow, callers: CALLERS, takeUsAfter: { few: small, many: large }, load1m };
  console.log(JSON.stringify(figures));
} finally {
  await store.stop();
  await database?.drop();
  rmSync(directory, { recursive: true, force: true });
}
