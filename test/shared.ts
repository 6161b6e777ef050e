// One store opened by several processes, as a test plays it: each gets a handle that hears what the others wrote, and that can be
// cut off as by a kill.

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

const WRITES: ReadonlySet<string> = new Set<keyof Store>([
  'submit',
  'claim',
  'commit',
  'settleDeliveries',
  'redeliver',
  'putDocuments',
]);
const SOMETHING: StoreHint = { tasks: null, ready: true, due: true, documents: null };

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
    const reached = <Verbs extends object>(verbs: Verbs): Verbs =>
      new Proxy(verbs, {
        get(target, name: string & keyof Verbs) {
          const verb = target[name] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            if (isCut) return new Promise(() => {});
            await frozen?.promise;
            const answer = await verb.apply(target, args);
            if (isCut) return new Promise(() => {});
            if (WRITES.has(name)) tell();
            return answer;
          };
        },
      });
    const parts: Partial<Store> = { ...special, memory: reached(store.memory) };
    const whole = reached(store);
    const handle: Handle = {
      store: new Proxy(store, {
        get: (_, name: keyof Store) => parts[name] ?? whole[name],
      }),
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
