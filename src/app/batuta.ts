// A whole server as one object, for programs that run Batuta inside themselves.

import { type RunningServer, startServer } from './compose.ts';
import { type ConfigSources, environment, loadConfig } from './config.ts';

/** Runs servers in this process; settings not given come from the environment, then from the defaults. */
export const Batuta = {
  /** Resolves when the server serves; rejects naming the setting, port or file that stands in the way. */
  start(settings: ConfigSources['flags'] = {}): Promise<RunningServer> {
    return startServer(loadConfig({ environment, flags: settings }));
  },
};
