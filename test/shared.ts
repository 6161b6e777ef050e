// One store opened by several processes, as a test plays it: each gets a handle that hears what the others wrote, and that can be
// cut off as by a kill.

import type { MailStore } from '../src/store/mail.ts';
import type { MemoryStore } from '../src/store/memory.ts';
import type { StoreHint } from '../src/store/rows.ts';
import type { Store } from '../src/store/store.ts';

/** A process's hold on a shared store. */
export interface Handle {
  readonly store: Store;
  /** From now on nothing it asks is done or answered, as when its process was killed. */
  cut(): void;
  /** Holds up all it asks, as when its process is stopped, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Whether hints of the others reach it. */
  deaf: boolean;
}

const WRITES: ReadonlySet<string> = new Set<keyof Store | keyof MailStore | keyof MemoryStore>([
  'submit',
  'claim',
  'commit',
  'settleDeliveries',
  'redeliver',
  'putDocuments',
  'post',
  'fanOut',
  'settle',
  'release',
  'sweep',
  'replay',
]);
const SOMETHING: StoreHint = { tasks: null, ready: true, due: true, documents: null, mail: null };

/** Makes handles on a store; stopping one leaves the store open. */
export function share(store: Store): () => Handle {
  const listeners = new Map<Handle, Set<(hint: StoreHint) => void>>();
  return () => {
    let isCut = false;
    let frozen: PromiseWithResolvers<void> | null = null;
    const own = new Set<(hint: StoreHint) => void>();
    const tell = (): void => {
      for (const [handle, hearing] of listeners) {
        if (hearing !== own && !handle.deaf) for (const listener of hearing) listener(SOMETHING);
      }
    };
    const special: Pick<Store, 'capabilities' | 'hear' | 'stop'> = {
      capabilities: { shared: true },
      hear(listener) {
        own.add(listener);
        return () => own.delete(listener);
      },
      stop: async () => {},
    };
    const through = <Verbs extends object>(verbs: Verbs, besides: Partial<Verbs>): Verbs =>
      new Proxy(verbs, {
        get(target, name) {
          if (Object.hasOwn(besides, name)) return Reflect.get(besides, name);
          const verb = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            if (isCut) return new Promise(() => {});
            await frozen?.promise;
            const answer = await verb.apply(target, args);
            if (isCut) return new Promise(() => {});
            if (WRITES.has(String(name))) tell();
            return answer;
          };
        },
      });
    const handle: Handle = {
      store: through(store, { ...special, mail: through(store.mail, {}), memory: through(store.memory, {}) }),
      cut() {
        isCut = true;
      },
      freeze() {
        frozen = Promise.withResolvers();
      },
      thaw() {
        frozen?.resolve();
        frozen = null;
      },
      deaf: false,
    };
    listeners.set(handle, own);
    return handle;
  };
}
