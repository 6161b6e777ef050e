// Hands the command line the real world. What only some commands need is loaded when they run.

import { text } from 'node:stream/consumers';
import { environment, loadConfig } from '../app/config.ts';
import { hasDemo, playDemo } from '../app/demo.ts';
import { VERSION } from '../app/version.ts';
import { systemClock } from '../sdk/clock.ts';
import type { AppActions, ServeFlags } from './host.ts';
import { runCli } from './program.ts';

const app: AppActions = {
  version: VERSION,
  // The built package comes without its examples.
  ...(hasDemo() ? { demo: playDemo } : {}),
  async serve(flags) {
    const [{ startServer }, { untilSignal }] = await Promise.all([
      import('../app/compose.ts'),
      import('../app/shutdown.ts'),
    ]);
    const config = configOf(flags);
    const server = await startServer(config);
    return { url: server.url, dataDir: config.dataDir, ended: untilSignal(server) };
  },
  async backup({ to, ...flags }) {
    const { takeBackup } = await import('../app/backup.ts');
    return takeBackup(configOf(flags), { to, settingsFile: flags.configFile });
  },
  async verifyBackup(from) {
    const { verifyBackup } = await import('../app/backup.ts');
    return verifyBackup(from);
  },
  async restore({ from, force, ...flags }) {
    const { restoreBackup } = await import('../app/restore.ts');
    return restoreBackup(configOf(flags), { from, force });
  },
  async migrate({ check, ...flags }) {
    const { migrateStore } = await import('../app/migrate.ts');
    return migrateStore(configOf(flags), { check });
  },
  async copy(route, onProgress) {
    const { copyStore } = await import('../app/copy-store.ts');
    return copyStore(route, configOf({}), onProgress);
  },
  async validateMessage(message, protocol) {
    const { judgeMessage } = await import('../app/offline.ts');
    return judgeMessage(message, protocol);
  },
  async translateMessage(message, way) {
    const { translateMessage } = await import('../app/offline.ts');
    return translateMessage(message, way);
  },
  async examine(flags) {
    const { examineHost } = await import('../app/examine.ts');
    return examineHost({ environment, flags });
  },
};

function configOf({ configFile, ...flags }: ServeFlags) {
  return loadConfig({ environment, flags, ...(configFile === undefined ? {} : { file: configFile }) });
}

const interrupt = new AbortController();
const isServing = process.argv[2] === 'serve';
// A server has its own way of ending; a client lets go of what it was waiting for.
if (!isServing) process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
// Whoever reads us may stop reading (`| head`): that is not our failure.
process.stdout.on('error', error => process.exit('code' in error && error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await runCli(process.argv.slice(2), {
  environment,
  stdout: process.stdout,
  stderr: process.stderr,
  isTerminal: process.stdout.isTTY === true,
  columns: process.stdout.columns ?? 80,
  readStdin: () => text(process.stdin),
  signal: interrupt.signal,
  clock: systemClock,
  app,
});
