// Remembers what was answered under an idempotency key, so that a request sent again is answered again and done once (`SAM-47`). The
// store is the memory, so all nodes share it and a restart forgets nothing. Only what succeeded is remembered: a refusal changed
// nothing and uses up no key. Answers lie sealed, and requests only as keyed digests.

import { createHmac } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { Batcher } from '../runtime/batcher.ts';
import { type Clock, pause } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { DocumentOutcome, DocumentWrite, StoredDocument } from '../store/rows.ts';
import { type Documents, oneDocument } from './documents.ts';
import type { Vault } from './vault.ts';

/** A request under its key. */
export interface KeyedRequest {
  readonly tenant: TenantId;
  readonly principal: string;
  /** Method and path: one key may name a request of each route. */
  readonly route: string;
  readonly key: string;
  readonly query: string;
  readonly body: Uint8Array;
  /** Its answer bears a secret that is shown once (`SAM-18`): a repeat is refused, not answered. */
  readonly confidential: boolean;
}

/** An answer as it can be given again. */
export interface KeptAnswer {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a request's first run came to: what to answer now, and what to answer its repeats (null: it cannot be given again). */
export interface FirstRun<Reply> {
  readonly reply: Reply;
  readonly succeeded: boolean;
  readonly kept: KeptAnswer | null;
}

const KIND = 'request';
const DAY_MS = 86_400_000;
/** While a request is under way its key is taken for so long: longer than any takes, so that a dead node's are free soon. */
const OPEN_MS = 15_000;
const WAIT_MS = 20_000;
const POLL_MS = 250;
const ANSWER_CHARS_MAX = 65_536;
/** Of a tenant's requests of an hour beyond so many, answers are kept for ten minutes: long enough to try again, too short to pile up. */
const LONG_KEPT_MAX = 10_000;
const HOUR_MS = 3_600_000;
const SHORT_KEPT_MS = 600_000;

interface Write {
  readonly request: KeyedRequest;
  readonly id: string;
  readonly body: JsonObject | null;
  readonly expected: 'absent' | number;
  readonly keptMs: number;
}

/** The memory of answered requests. */
export class Repeats {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #self: string;
  readonly #isAlone: boolean;
  readonly #writer: Batcher<Write, DocumentOutcome>;
  readonly #underWay = new Map<string, Promise<unknown>>();
  readonly #tally = new Map<TenantId, number>();
  #hour = 0;

  /** `isAlone`: no other process has the store open, so whatever another one left under way died with it. */
  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Documents,
    vault: Vault,
    { isAlone }: { readonly isAlone: boolean },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#vault = vault;
    this.#self = random.uuid();
    this.#isAlone = isAlone;
    this.#writer = new Batcher(writes => store.putDocuments(writes.map(write => this.#documentOf(write))));
  }

  /**
   * Runs the request, or answers what it came to before. Whoever comes while it is under way waits for it; throws `conflict` for
   * another request under the same key, for one whose answer is not kept, and for one that is under way elsewhere for too long.
   */
  async once<Reply>(
    request: KeyedRequest,
    run: () => Promise<FirstRun<Reply>>,
  ): Promise<{ readonly first: Reply } | { readonly again: KeptAnswer }> {
    const id = this.#nameOf(request);
    for (;;) {
      const before = this.#underWay.get(id);
      if (before === undefined) break;
      await before;
    }
    const mine = this.#run(request, id, run);
    const settled = mine.catch(() => undefined);
    this.#underWay.set(id, settled);
    try {
      return await mine;
    } finally {
      if (this.#underWay.get(id) === settled) this.#underWay.delete(id);
    }
  }

  async #run<Reply>(request: KeyedRequest, id: string, run: () => Promise<FirstRun<Reply>>) {
    const claimed = await this.#claim(request, id);
    if (typeof claimed !== 'number') return { again: claimed };
    const settle = async (body: JsonObject | null, keptMs: number): Promise<void> => {
      await this.#writer
        .add({ request, id, body, expected: claimed, keptMs })
        .catch(error => this.#log.warn('an answer could not be remembered', { error: String(error) }));
    };
    try {
      const { reply, succeeded, kept } = await run();
      if (succeeded) await settle(this.#memoryOf(request, kept), this.#keptMs(request.tenant));
      else await settle(null, 0);
      return { first: reply };
    } catch (error) {
      await settle(null, 0);
      throw error;
    }
  }

  /** The version under which the key is ours, or what was answered under it. */
  async #claim(request: KeyedRequest, id: string): Promise<number | KeptAnswer> {
    const fingerprint = this.#digest(request.query, request.body);
    const body: JsonObject = { fingerprint, by: this.#self };
    const giveUpAt = this.#clock.monotonic() + WAIT_MS;
    let expected: 'absent' | number = 'absent';
    do {
      const outcome = await this.#writer.add({ request, id, body, expected, keptMs: OPEN_MS });
      if (outcome.status === 'done') return outcome.version;
      const found: StoredDocument | null = await oneDocument(this.#store, {
        tenant: request.tenant,
        kind: KIND,
        id,
      });
      expected = 'absent';
      if (found === null) continue;
      if (found.body.fingerprint !== fingerprint) throw different(request.key);
      if (found.body.by === undefined) return this.#answerIn(request, found.body);
      if (this.#isAlone && found.body.by !== this.#self) expected = found.version;
      else await pause(this.#clock, POLL_MS);
    } while (this.#clock.monotonic() < giveUpAt);
    throw new DomainError('conflict', 'this request is being answered elsewhere', {
      details: { idempotency_key: request.key },
      retryAfterMs: OPEN_MS,
    });
  }

  #memoryOf(request: KeyedRequest, kept: KeptAnswer | null): JsonObject {
    const fingerprint = this.#digest(request.query, request.body);
    const text = kept === null || request.confidential ? '' : JSON.stringify(kept);
    if (text === '' || text.length > ANSWER_CHARS_MAX) return { fingerprint };
    return { fingerprint, sealed: this.#vault.seal(text, contextOf(request)) };
  }

  #answerIn(request: KeyedRequest, { sealed }: JsonObject): KeptAnswer {
    if (typeof sealed !== 'string')
      throw new DomainError('conflict', 'this was done already, and its answer is not kept', {
        details: { idempotency_key: request.key },
      });
    return JSON.parse(this.#vault.open(sealed, contextOf(request))) as KeptAnswer;
  }

  #documentOf({ request, id, body, expected, keptMs }: Write): DocumentWrite {
    const { tenant } = request;
    return { tenant, kind: KIND, id, body, expected, expiresAt: this.#clock.now() + keptMs };
  }

  #keptMs(tenant: TenantId): number {
    const hour = Math.floor(this.#clock.now() / HOUR_MS);
    if (hour !== this.#hour) this.#tally.clear();
    this.#hour = hour;
    const count = (this.#tally.get(tenant) ?? 0) + 1;
    this.#tally.set(tenant, count);
    return count > LONG_KEPT_MAX ? SHORT_KEPT_MS : DAY_MS;
  }

  #nameOf({ principal, route, key }: KeyedRequest): string {
    return this.#digest(JSON.stringify([principal, route, key]), new Uint8Array());
  }

  /** Keyed, because what is digested may be a short secret. */
  #digest(text: string, bytes: Uint8Array): string {
    const key = this.#vault.subkey('requests');
    return createHmac('sha256', key).update(text).update('\n').update(bytes).digest('base64url');
  }
}

function contextOf({ tenant }: KeyedRequest) {
  return { tenant, purpose: KIND };
}

function different(key: string): DomainError {
  return new DomainError('conflict', 'another request was made under this idempotency key', {
    details: { idempotency_key: key, hint: 'a new request needs a new key' },
  });
}
