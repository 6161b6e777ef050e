// What a JavaScript program finds around it inside QuickJS. These functions never run in Node: the host process sends their
// source into the sandbox, where `host` is the one door outside. They may use only what the language itself has.

/** The one door out of the sandbox: an operation's name, JSON, and bytes; answers JSON, bytes, or the id of an ask. */
export type Door = (
  operation: string,
  text: string,
  bytes?: ArrayBuffer,
) => string | number | ArrayBuffer | undefined;

/** Promises of answers that come later. */
export interface Asking {
  ask(operation: string, question: object, bytes?: ArrayBuffer): Promise<Answer>;
  settle(id: number, error: string | undefined, text: string, bytes: ArrayBuffer): void;
}

/** An answer from outside: its JSON and its bytes. */
export interface Answer {
  readonly value: unknown;
  readonly bytes: ArrayBuffer;
}

/** Keeps the promises of questions under way. */
export function guestAsking(door: Door): Asking {
  const { parse, stringify } = JSON;
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  return {
    ask(operation, question, bytes) {
      const id = door(operation, stringify(question), bytes) as number;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
      });
    },
    settle(id, error, text, bytes) {
      const promise = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) promise?.resolve({ value: parse(text), bytes });
      else promise?.reject(new Error(error));
    },
  };
}

/** `console`, printing like its namesakes: `log`, `info` and `debug` to stdout, `warn` and `error` to stderr. */
export function guestConsole(door: Door): object {
  const { stringify } = JSON;
  const shown = (value: unknown): string => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ''}`.trimEnd();
    if (typeof value === 'object' && value !== null) {
      try {
        return stringify(value);
      } catch {
        return Object.prototype.toString.call(value);
      }
    }
    return String(value);
  };
  const printing =
    (stream: string) =>
    (...values: unknown[]): void => {
      door('print', stringify({ stream, text: `${values.map(shown).join(' ')}\n` }));
    };
  const [out, err] = [printing('stdout'), printing('stderr')];
  return { log: out, info: out, debug: out, warn: err, error: err };
}

/** `readInput`, `writeOutput`, `progress` and `checkpoint`. */
export function guestTools(door: Door): object {
  const { parse, stringify } = JSON;
  return {
    /** The text of a granted artifact, or its bytes. */
    readInput(name: string, form: 'text' | 'bytes' = 'text'): string | Uint8Array {
      const answer = door('read', stringify({ name: String(name), form }));
      return typeof answer === 'string' ? parse(answer) : new Uint8Array(answer as ArrayBuffer);
    },
    /** A file of the task's output, replacing one of the same name. */
    writeOutput(name: string, content: string | Uint8Array | ArrayBuffer): void {
      if (typeof content === 'string') door('write', stringify({ name: String(name), text: content }));
      else if (content instanceof ArrayBuffer) door('write', stringify({ name: String(name) }), content);
      else {
        const { buffer, byteOffset, byteLength } = content;
        const bytes = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
        door('write', stringify({ name: String(name) }), bytes);
      }
    },
    progress(percentage?: number, step?: string, totalSteps?: number): void {
      door('progress', stringify({ percentage, currentStep: step, totalSteps }));
    },
    /** Keeps a state the next attempt finds in `restored`. */
    checkpoint(value: unknown): void {
      door('checkpoint', stringify({ value: value ?? null }));
    },
  };
}

/** `setTimeout`, `clearTimeout`, and a `fetch` that knows the everyday part of its namesake. */
export function guestWaiting(door: Door, asking: Asking): object {
  const { parse } = JSON;
  const running = new Set<number>();
  let timers = 0;
  const textOf = (bytes: ArrayBuffer): string => parse(door('decode', '', bytes) as string);
  return {
    setTimeout(callback: (...values: unknown[]) => void, ms = 0, ...values: unknown[]): number {
      const timer = ++timers;
      running.add(timer);
      asking.ask('sleep', { ms: Number(ms) || 0 }).then(() => {
        if (running.delete(timer)) callback(...values);
      });
      return timer;
    },
    clearTimeout(timer: number): void {
      running.delete(timer);
    },
    async fetch(
      url: string,
      init: { method?: string; headers?: Record<string, string>; body?: unknown } = {},
    ) {
      const { method = 'GET', headers = {}, body } = init;
      const text = typeof body === 'string' ? body : undefined;
      const question = { url: String(url), method: String(method).toUpperCase(), headers, text };
      const raw = body instanceof Uint8Array ? (body.slice().buffer as ArrayBuffer) : undefined;
      const { value, bytes } = await asking.ask('fetch', question, raw);
      const { status, headers: found } = value as { status: number; headers: Record<string, string> };
      return {
        url: question.url,
        status,
        ok: status >= 200 && status < 300,
        headers: { ...found, get: (name: string) => found[String(name).toLowerCase()] ?? null },
        text: async () => textOf(bytes),
        json: async () => parse(textOf(bytes)),
        bytes: async () => new Uint8Array(bytes),
        arrayBuffer: async () => bytes,
      };
    },
  };
}
