// Servers in processes of their own on one PostgreSQL, as tests of several nodes need them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshDatabase } from '../postgres.ts';
import type { Loose } from '../serve.ts';
import { ADMIN_HEADERS, type ServerProcess, serverProcess } from '../server.ts';

/** Nodes that run, and where their data lie. */
export interface Nodes {
  readonly nodes: readonly ServerProcess[];
  /** Each node's data are in a folder of its name. */
  readonly dir: string;
  stop(): Promise<void>;
}

/** Starts a node of each name, with settings of its own, on a database that goes with them. */
export async function openNodes(
  settings: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<Nodes> {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-nodes-'));
  const database = await freshDatabase();
  const shared = {
    BATUTA_DATABASE_URL: database.url,
    BATUTA_DATABASE_CONNECTIONS: '4',
    BATUTA_MASTER_KEY: randomBytes(32).toString('base64'),
    BATUTA_AUDIT_KEY: randomBytes(32).toString('base64'),
  };
  const nodes = await Promise.all(
    Object.entries(settings).map(([id, own]) =>
      serverProcess(join(dir, id), { ...shared, BATUTA_SERVER_ID: id, ...own }),
    ),
  );
  await Promise.all(nodes.map(node => node.start()));
  return {
    nodes,
    dir,
    async stop() {
      await Promise.all(nodes.map(node => node.kill()));
      await database.drop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Asks a node, as the administrator unless told otherwise; the answer must be a good one. */
export async function ask(
  node: ServerProcess,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = ADMIN_HEADERS,
): Promise<Loose> {
  const payload = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${node.url}${path}`, { method, headers, ...payload });
  const text = await answer.text();
  assert.equal(answer.ok, true, `${method} ${path}: ${answer.status} ${text} ${node.said}`);
  return JSON.parse(text);
}
