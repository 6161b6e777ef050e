// What a dialect shows to the conformance suite: a server, two agents, and how one writes to the other.

import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { JsonObject } from '../../src/domain/json.ts';
import type { MemberPath } from '../../src/guards/messages/envelope.ts';
import type { Correspondent, Post } from '../post.ts';
import type { Loose } from '../serve.ts';

/** A message as a test wants it. */
export interface Wanted {
  /** Goes before what is not urgent. */
  readonly urgent?: boolean;
  readonly expiresInMs?: number;
  /** The exchange it belongs to; its own when absent. */
  readonly exchange?: string;
  readonly text?: string;
  /** The message it answers. */
  readonly answers?: string;
}

/** A dialect at work. */
export interface Bench {
  readonly post: Post;
  readonly name: string;
  /** Two agents that may write to each other, and the names of their inboxes. */
  readonly sender: Correspondent;
  readonly receiver: Correspondent;
  readonly senderInbox: string;
  readonly receiverInbox: string;
  /** A message from the sender to the receiver which no agent inside the server answers. */
  message(id: string, wanted?: Wanted): JsonObject;
  /** The receiver's answer to such a message. */
  answer(id: string, to: JsonObject): JsonObject;
  /** A message that lacks what every message must have. */
  broken(): JsonObject;
  idOf(message: Loose): string;
  /** The wire's code in an error's body, or in a message that tells of one. */
  codeOf(body: Loose): string;
  /** The wire's word for a canonical code. */
  readonly words: Readonly<
    Record<
      | 'invalid_request'
      | 'unserializable'
      | 'unauthenticated'
      | 'forbidden'
      | 'conflict'
      | 'lease_lost'
      | 'payload_too_large'
      | 'rate_limited'
      | 'not_found',
      string
    >
  >;
  /** Whether a message tells its receiver that something went wrong. */
  isError(message: Loose): boolean;
  readonly sealing: BenchSealing;
}

/** How a dialect's messages are signed and encrypted. */
export interface BenchSealing {
  readonly senderAgent: string;
  readonly receiverAgent: string;
  /** The type of `message`. */
  readonly type: string;
  readonly signatureAt: MemberPath;
  readonly timestampAt: MemberPath;
  /** The member that may be encrypted; in `message` it has the text. */
  readonly confidential: string;
  /** What else a message says whose member is encrypted. */
  readonly marks?: JsonObject;
  /** A message from the sender that an agent inside the server answers, with these words in its confidential member. */
  request(id: string, words: string): JsonObject;
  /** What the server made of such a message, the words included if it could read them. */
  seen(request: JsonObject): Promise<string>;
  /** A message from the sender to the receiver of the most urgent priority. */
  critical(id: string): JsonObject;
}

/** How a dialect's bench is set up on a server; each test has its own, with agents and ids that bear its tag. */
export type OpenBench = (post: Post, tag: string) => Promise<Bench>;

/** One claim about a dialect; `another` is a bench on a server of its own, which it must stop. */
export interface Claim {
  readonly title: string;
  readonly hold: (bench: Bench, another: () => Promise<Bench>) => Promise<void>;
}

/** Gathers claims; they become tests where a dialect is at hand. */
export function suite(tell: (test: (title: string, hold: Claim['hold']) => void) => void): readonly Claim[] {
  const claims: Claim[] = [];
  tell((title, hold) => claims.push({ title, hold }));
  return claims;
}

/** A socket that remembers its frames. */
export interface TestSocket {
  say(frame: object): void;
  raw(text: string): void;
  /** The next frame of that name, waited for. */
  next(name: string): Promise<Loose>;
  /** Frames of that name that came and nobody asked for. */
  count(name: string): number;
  close(): void;
  readonly closed: Promise<number>;
}

/** Opens a dialect's socket. */
export async function socketOf(
  { post, name }: Pick<Bench, 'post' | 'name'>,
  who: Pick<Correspondent, 'headers'>,
): Promise<TestSocket> {
  const socket = new WebSocket(`${post.url.replace('http', 'ws')}/protocols/${name}/socket`, {
    headers: { ...who.headers },
  });
  const frames: Loose[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', data => {
    frames.push(JSON.parse(String(data)));
    for (const wake of waiting) wake();
  });
  const closed = new Promise<number>(resolve => socket.on('close', code => resolve(code)));
  await once(socket, 'open');
  return {
    say: frame => socket.send(JSON.stringify(frame)),
    raw: text => socket.send(text),
    count: frame => frames.filter(one => one.frame === frame).length,
    close: () => socket.close(),
    closed,
    async next(frame) {
      for (;;) {
        const index = frames.findIndex(one => one.frame === frame);
        const [found] = index < 0 ? [] : frames.splice(index, 1);
        if (found !== undefined) return found;
        await new Promise<void>((resolve, reject) => {
          const done = (): void => {
            clearTimeout(timer);
            waiting.delete(done);
            resolve();
          };
          const timer = setTimeout(() => {
            waiting.delete(done);
            reject(new Error(`no frame ${frame} came; ${JSON.stringify(frames).slice(0, 500)}`));
          }, 8_000);
          waiting.add(done);
        });
      }
    },
  };
}
