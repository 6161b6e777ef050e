// A whole server with its mailroom, and agents that speak through it, for tests of message wires.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { type Extras, type RunningServer, startServer } from '../src/app/compose.ts';
import { loadConfig } from '../src/app/config.ts';
import { databaseHolds, freshDatabase } from './postgres.ts';
import type { Loose } from './serve.ts';
import { isOnPostgres, settingsFor } from './store.ts';

const SECRET = 'j'.repeat(48);

/** What agents may do unless a test says otherwise. */
export const AGENT_PERMISSIONS = [
  ...['task:execute', 'task:read', 'task:control', 'task:write-result'],
  ...['message:send', 'message:receive', 'memory:read', 'memory:write', 'knowledge:read'],
] as const;

/** An answer, read. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Loose;
}

/** Somebody who speaks one wire to a server. */
export interface Correspondent {
  readonly headers: Readonly<Record<string, string>>;
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answered>;
  /** Posts one message or several; whatever the answer is. */
  send(dialect: string, message: unknown, query?: string): Promise<Answered>;
  /** What is in an inbox now, or comes within so many seconds. */
  read(
    dialect: string,
    inbox: string,
    options?: { readonly wait?: number; readonly max?: number; readonly visibility?: number },
  ): Promise<readonly Loose[]>;
  /** Says what became of a delivery, `ack` unless told otherwise; answers its result. */
  settle(dialect: string, inbox: string, deliveryId: string, verdict?: object): Promise<Loose>;
}

/** A server whose agents write to each other. */
export interface Post {
  readonly url: string;
  readonly server: RunningServer;
  readonly dataDir: string;
  readonly admin: Correspondent;
  /** An agent, by a token that is bound to it. */
  agent(id: string, options?: { readonly permissions?: readonly string[] }): Promise<Correspondent>;
  /** Registers an agent: with roles (`army:writer`), types of work (`custom:research`), skills. */
  register(
    id: string,
    options?: {
      readonly roles?: readonly string[];
      readonly types?: readonly string[];
      readonly skills?: readonly string[];
      readonly slots?: number;
    },
  ): Promise<Correspondent>;
  /** Whether a word is readable anywhere in what the store keeps. */
  holds(word: string): Promise<boolean>;
  stop(): Promise<void>;
}

/**
 * Starts a server; rate limits are off and loopback may be called unless `settings` say otherwise. Its store is SQLite, or a database
 * of its own where `BATUTA_TEST_STORE=postgres`.
 */
export async function openPost(
  settings: Readonly<Record<string, string>> = {},
  extras: Extras & { readonly dataDir?: string } = {},
): Promise<Post> {
  const dataDir = extras.dataDir ?? mkdtempSync(join(tmpdir(), 'batuta-post-'));
  const database = isOnPostgres && extras.dataDir === undefined ? await freshDatabase() : null;
  const given = {
    BATUTA_PORT: '0',
    BATUTA_DATA: dataDir,
    BATUTA_RATE_LIMITS: 'off',
    BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
    BATUTA_LOG_LEVEL: 'error',
    BATUTA_ARCHIVE_DELAY_MS: '100',
    BATUTA_JWT_SECRET: SECRET,
    ...(database === null ? {} : settingsFor(database.url)),
    ...settings,
  };
  const server = await startServer(loadConfig({ environment: given }), extras);
  const { url } = server;
  const { api_key: key, api_secret: secret } = server.credentials;
  const admin = correspondent(url, { 'x-api-key': key, 'x-api-secret': secret });
  const agent: Post['agent'] = async (id, { permissions = AGENT_PERMISSIONS } = {}) =>
    correspondent(url, { authorization: `Bearer ${await tokenOf(id, permissions)}` });
  return {
    ...{ url, server, dataDir, admin, agent },
    async register(id, { roles = [], types = [], skills = [], slots = 10 } = {}) {
      const body = { agent_id: id, types, skills, roles, capacity: { slots } };
      const { status } = await admin.ask('POST', '/api/v2/agents', body);
      assert.equal(status, 200);
      return agent(id);
    },
    holds: async word => (database === null ? filesHold(dataDir, word) : databaseHolds(database.url, word)),
    async stop() {
      await server.stop();
      await database?.drop();
      if (extras.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function filesHold(dataDir: string, word: string): boolean {
  const files = readdirSync(dataDir).filter(name => name.startsWith('batuta.db'));
  assert.ok(files.length > 0);
  return files.some(name => readFileSync(join(dataDir, name)).includes(word));
}

function tokenOf(agentId: string, permissions: readonly string[]): Promise<string> {
  return new SignJWT({ agent_id: agentId, permissions })
    .setProtectedHeader({ alg: 'HS256', kid: 'configured' })
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(SECRET));
}

/** Somebody with these credentials. */
export function correspondent(url: string, credentials: Readonly<Record<string, string>>): Correspondent {
  const ask: Correspondent['ask'] = async (method, path, body, headers = {}) => {
    const isBytes = body instanceof Uint8Array || typeof body === 'string';
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...credentials,
        ...headers,
      },
      ...(body === undefined ? {} : { body: isBytes ? (body as BodyInit) : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : text,
    };
  };
  return {
    headers: credentials,
    ask,
    send: (dialect, message, query = '') => ask('POST', `/protocols/${dialect}/messages${query}`, message),
    async read(dialect, inbox, { wait = 0, max = 10, visibility = 30 } = {}) {
      const query = `wait=${wait}&max=${max}&visibility=${visibility}`;
      const { status, body } = await ask(
        'GET',
        `/protocols/${dialect}/inbox/${encodeURIComponent(inbox)}?${query}`,
      );
      assert.equal(status, 200, JSON.stringify(body));
      return body.messages;
    },
    async settle(dialect, inbox, deliveryId, verdict = { outcome: 'ack' }) {
      const items = [{ delivery_id: deliveryId, ...verdict }];
      const { status, body } = await ask(
        'POST',
        `/protocols/${dialect}/inbox/${encodeURIComponent(inbox)}/ack`,
        { items },
      );
      assert.equal(status, 200, JSON.stringify(body));
      return body.results[0];
    },
  };
}
