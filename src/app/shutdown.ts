// How the process ends: the first SIGTERM or SIGINT stops gracefully, a second one at once.

import type { RunningServer } from './compose.ts';

/** Resolves with the exit code once a signal came and the server has stopped. */
export function untilSignal(server: RunningServer): Promise<number> {
  return new Promise(resolve => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(130);
      asked = true;
      server.log.info('stopping', { signal });
      void server.stop().then(() => resolve(0));
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
