// A server as it is started in earnest, in this process: settings from an environment, a data directory of its own, a port the
// system chooses.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningServer, startServer } from '../../src/app/compose.ts';
import { loadConfig } from '../../src/app/config.ts';
import { keyHeaders, openWire, type Wire } from './wire.ts';

/** A server that runs, and its administrator's way to it. */
export interface Running {
  readonly server: RunningServer;
  readonly url: string;
  readonly dataDir: string;
  readonly admin: Wire;
  /** Stops it; its data go too, unless the directory was given. */
  stop(): Promise<void>;
}

/** Starts a server; limits are off and loopback may be notified unless `settings` say otherwise. */
export async function running(
  settings: Readonly<Record<string, string>> = {},
  dataDir?: string,
): Promise<Running> {
  const dir = dataDir ?? mkdtempSync(join(tmpdir(), 'batuta-e2e-'));
  const environment = {
    BATUTA_PORT: '0',
    BATUTA_DATA: dir,
    BATUTA_RATE_LIMITS: 'off',
    BATUTA_ALLOW_PRIVATE_TARGETS: '127.0.0.1',
    BATUTA_LOG_LEVEL: 'error',
    BATUTA_ARCHIVE_DELAY_MS: '100',
    ...settings,
  };
  const server = await startServer(loadConfig({ environment }));
  return {
    server,
    url: server.url,
    dataDir: dir,
    admin: await openWire(server.url, keyHeaders(server.credentials)),
    async stop() {
      await server.stop();
      if (dataDir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}
