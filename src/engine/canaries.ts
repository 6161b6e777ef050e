// Canaries' share of the tasks, the same on all nodes: one document says what it is, another per node what the runs it saw came to. The
// node that does the chores holds canaries against the rest, and where they are worse takes their share away and says so (`SAM-228`).

import {
  type CanaryVerdict,
  type Comparison,
  counted,
  NO_RUNS,
  type Tally,
  together,
  verdictOf,
} from '../domain/canary.ts';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { WorkType } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Store } from '../store/store.ts';
import type { CanarySettings, CanaryView } from './api.ts';
import type { Alerts } from './ports/alerts.ts';

const SETTINGS = { tenant: DEFAULT_TENANT, kind: 'canary', id: 'settings' } as const;
const RUNS = { tenant: DEFAULT_TENANT, kind: 'canary_runs' } as const;
const LOOK_MS = 2_000;
/** Runs count for one to two of these. */
const WINDOW_MS = 300_000;
const KINDS_MAX = 500;
const NEVER_SET: CanaryView = { share: 0, tenants: [], setAt: 0, setBy: 'system', stopped: null };

type Runs = ReadonlyMap<WorkType, Comparison>;

/** A run that ended, and who ran it. */
export interface CanaryRun {
  readonly canary: boolean;
  readonly workType: WorkType;
  readonly failed: boolean;
  readonly durationMs: number;
}

/** Keeps the share, counts runs, and judges. */
export class Canaries {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>;
  readonly #alerts: Alerts;
  readonly #node: AgentId;
  #view = NEVER_SET;
  #version: number | null = null;
  #tenants: ReadonlySet<TenantId> = new Set();
  /** This and the last window. */
  #windows: readonly [Map<WorkType, Comparison>, Runs] = [new Map(), new Map()];
  #windowEndsAt = 0;
  #isWritten = true;
  #leads = (): boolean => false;
  #looking: Promise<void> | null = null;
  #timer: Cancel | null = null;
  #open = false;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>,
    parts: { readonly alerts: Alerts; readonly node: AgentId },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#alerts = parts.alerts;
    this.#node = parts.node;
  }

  /** Reads what is set, and begins to follow and to judge; `leads` says whether judging is this node's. */
  async start(leads: () => boolean): Promise<void> {
    this.#open = true;
    this.#leads = leads;
    await this.#read();
    this.#schedule();
  }

  /** Leaves what it counted to the others. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#timer?.();
    await this.#looking;
    await this.#publish().catch(() => {});
  }

  /** What is set, as of at most 2 s ago. */
  get view(): CanaryView {
    return this.#view;
  }

  /** Whether their share was taken away: they get nothing at all until it is set anew. */
  get isStopped(): boolean {
    return this.#view.stopped !== null;
  }

  /** Whether tasks of a tenant are for canaries first: all of a named tenant's, or those that were drawn. */
  areMeant(tenant: TenantId, wasDrawn: boolean): boolean {
    return (wasDrawn && this.#view.share > 0) || this.#tenants.has(tenant);
  }

  /** Draws whether a new task is among those that canaries try. */
  draws(): boolean {
    const { share } = this.#view;
    return share > 0 && this.#random.fraction() < share;
  }

  /** Sets the share and begins to count anew; a share that was taken away is given again. */
  async set({ share, tenants }: CanarySettings, setBy: string): Promise<CanaryView> {
    await this.#looking;
    const view: CanaryView = { share, tenants, setAt: this.#clock.now(), setBy, stopped: null };
    const [outcome] = await this.#store.putDocuments([{ ...SETTINGS, body: bodyOf(view) }]);
    this.#take(view, outcome?.status === 'done' ? outcome.version : null);
    return view;
  }

  /** Counts a run, as long as there is a share to judge. */
  note({ canary, workType, ...run }: CanaryRun): void {
    if (!this.#isOn) return;
    this.#turnWindow();
    const [current] = this.#windows;
    const known = current.get(workType) ?? { canary: NO_RUNS, rest: NO_RUNS };
    const who = canary ? 'canary' : 'rest';
    current.set(workType, { ...known, [who]: counted(known[who], run) });
    const [oldest] = current.keys();
    if (current.size > KINDS_MAX && oldest !== undefined) current.delete(oldest);
    this.#isWritten = false;
  }

  /** Looks at once at what is set: another node may have changed it. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch(error => this.#log.warn('canaries could not be looked after', { error: String(error) }))
      .then(() => {
        this.#looking = null;
      });
    return this.#looking;
  }

  get #isOn(): boolean {
    return this.#view.share > 0 || this.#tenants.size > 0;
  }

  #schedule(): void {
    this.#timer = this.#clock.after(LOOK_MS, () => {
      void this.look().then(() => {
        if (this.#open) this.#schedule();
      });
    });
  }

  async #look(): Promise<void> {
    if (this.#store.capabilities.shared) await this.#read();
    if (this.#isOn) await this.#publish();
    if (!this.#leads()) return;
    if (this.#isOn) await this.#judge();
    await this.#tell();
  }

  async #read(): Promise<void> {
    const [found] = await this.#store.documents({ ...SETTINGS, ids: [SETTINGS.id] });
    if (found === undefined || found.version <= (this.#version ?? 0)) return;
    this.#take(found.body as unknown as CanaryView, found.version);
  }

  #take(view: CanaryView, version: number | null): void {
    if (view.setAt !== this.#view.setAt) this.#windows = [new Map(), new Map()];
    this.#view = view;
    this.#version = version;
    this.#tenants = new Set(view.tenants);
  }

  #turnWindow(): void {
    const now = this.#clock.now();
    if (now < this.#windowEndsAt) return;
    const isLongOver = now >= this.#windowEndsAt + WINDOW_MS;
    this.#windows = [new Map(), isLongOver ? new Map() : this.#windows[0]];
    this.#windowEndsAt = now + WINDOW_MS;
    this.#isWritten = false;
  }

  /** Lets whoever judges know what the runs seen here came to. */
  async #publish(): Promise<void> {
    this.#turnWindow();
    if (this.#isWritten) return;
    this.#isWritten = true;
    const kinds = sumOf(this.#windows);
    const body = { since: this.#view.setAt, kinds: Object.fromEntries(kinds) } as unknown as JsonObject;
    const expiresAt = this.#clock.now() + 2 * WINDOW_MS;
    await this.#store.putDocuments([{ ...RUNS, id: this.#node, body, expiresAt }]).catch(error => {
      this.#isWritten = false;
      throw error;
    });
  }

  async #judge(): Promise<void> {
    const documents = await this.#store.documents(RUNS);
    const bodies = documents.map(({ body }) => body as unknown as RunsBody);
    const current = bodies.filter(({ since }) => since === this.#view.setAt);
    const verdict = verdictOf([
      ...sumOf(current.map(({ kinds }) => new Map(Object.entries(kinds)))).values(),
    ]);
    if (verdict !== null) await this.#takeAway(verdict);
  }

  async #takeAway(verdict: CanaryVerdict): Promise<void> {
    const { share, tenants } = this.#view;
    const stopped = { ...verdict, at: this.#clock.now(), share, tenants, told: false };
    await this.#change({ ...this.#view, share: 0, tenants: [], stopped });
  }

  /** Raises the alert of a share that was taken away: at least once, whoever led when that happened. */
  async #tell(): Promise<void> {
    const { stopped } = this.#view;
    if (stopped === null || stopped.told) return;
    const { because, canary, rest, share, tenants } = stopped;
    const what = because === 'latency' ? 'take longer (95th percentile)' : 'fail more often';
    await this.#alerts.raise({
      name: 'canary_stopped',
      message: `canaries ${what} than the rest: they get no more tasks until their share is set anew`,
      detail: { because, canary: { ...canary }, rest: { ...rest }, share, tenants: [...tenants] },
    });
    await this.#change({ ...this.#view, stopped: { ...stopped, told: true } });
  }

  /** Changes what is set unless another node or a person has done so since it was read. */
  async #change(view: CanaryView): Promise<void> {
    const expected = this.#version ?? 'absent';
    const [outcome] = await this.#store.putDocuments([{ ...SETTINGS, body: bodyOf(view), expected }]);
    if (outcome?.status === 'done') this.#take(view, outcome.version);
    else await this.#read();
  }
}

interface RunsBody {
  readonly since: number;
  readonly kinds: Readonly<Record<WorkType, Comparison>>;
}

function sumOf(parts: readonly Runs[]): Runs {
  const sum = new Map<WorkType, Comparison>();
  for (const part of parts) {
    for (const [kind, { canary, rest }] of part) {
      const known = sum.get(kind);
      const add = (who: keyof Comparison, tally: Tally): Tally =>
        known === undefined ? tally : together(known[who], tally);
      sum.set(kind, { canary: add('canary', canary), rest: add('rest', rest) });
    }
  }
  return sum;
}

function bodyOf(view: CanaryView): JsonObject {
  return view as unknown as JsonObject;
}
