// A small client for load: POSTs over kept connections, as cheap as Node makes them, so that what is measured is the server.

import { Pool } from 'undici';

/** Posts to one path. */
export interface Keep {
  send(body: string): Promise<{ readonly status: number; readonly body: string }>;
  close(): void;
}

/** A pool of 64 connections to one path of a local server. */
export function keepAlivePost(port: number, path: string, headers: Readonly<Record<string, string>>): Keep {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64, pipelining: 1 });
  return {
    async send(body) {
      const answer = await pool.request({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
      return { status: answer.statusCode, body: await answer.body.text() };
    },
    close: () => void pool.close(),
  };
}
