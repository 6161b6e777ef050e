// The process's own log: one JSON object a line, through pino. (A task's log is data and lives in the store.)

import { type Logger, pino } from 'pino';

/** How much the process says about itself. */
export type Verbosity = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** A log a component writes to; `fields` never hold a secret. */
export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
  /** The same log with fields added to every line. */
  child(fields: object): Log;
}

/** A log that writes JSON lines to standard error, leaving standard output to commands. */
export function createLog(verbosity: Verbosity): Log {
  return wrap(
    pino(
      {
        level: verbosity,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        // An Error's own properties are not enumerable: without this it would be logged as {}.
        serializers: { error: pino.stdSerializers.errWithCause },
      },
      pino.destination(2),
    ),
  );
}

/** A log nobody reads. */
export const silentLog: Log = createLog('silent');

function wrap(logger: Logger): Log {
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: fields => wrap(logger.child(fields)),
  };
}
