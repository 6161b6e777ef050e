// The little of the peers' libraries that is used here. They are not installed with Batuta, and the type check must not need them.

declare module 'bullmq' {
  interface Connection {
    readonly host: string;
    readonly port: number;
    readonly maxRetriesPerRequest: null;
  }
  export class Queue {
    constructor(name: string, options: { readonly connection: Connection });
    add(name: string, data: object, options: { readonly removeOnComplete: boolean }): Promise<object>;
    close(): Promise<void>;
  }
  export class Worker {
    constructor(
      name: string,
      run: () => Promise<void>,
      options: {
        readonly connection: Connection;
        readonly concurrency: number;
        readonly removeOnComplete: { readonly count: number };
      },
    );
    waitUntilReady(): Promise<object>;
    close(): Promise<void>;
  }
}

declare module 'graphile-worker' {
  export class Logger {
    constructor(factory: () => () => void);
  }
  export function makeWorkerUtils(options: {
    readonly connectionString: string;
    readonly maxPoolSize: number;
    readonly logger: Logger;
  }): Promise<{
    migrate(): Promise<void>;
    addJob(task: string, payload: object): Promise<object>;
    release(): Promise<void>;
  }>;
  export function run(options: {
    readonly taskList: Readonly<Record<string, () => Promise<void>>>;
    readonly noHandleSignals: boolean;
    readonly preset: {
      readonly worker: {
        readonly connectionString: string;
        readonly logger: Logger;
        readonly maxPoolSize: number;
        readonly concurrentJobs: number;
        readonly completeJobBatchDelay: number;
        readonly localQueue: { readonly size: number };
      };
    };
  }): Promise<{ stop(): Promise<void> }>;
}

declare module 'pg-boss' {
  export class PgBoss {
    constructor(options: {
      readonly connectionString: string;
      readonly max: number;
      readonly useListenNotify: boolean;
    });
    on(event: 'error', listener: (error: Error) => void): this;
    start(): Promise<this>;
    stop(options: { readonly graceful: boolean }): Promise<void>;
    createQueue(name: string, options: { readonly notify: boolean }): Promise<void>;
    send(name: string, data: object): Promise<string | null>;
    work(
      name: string,
      options: {
        readonly batchSize: number;
        readonly localConcurrency: number;
        readonly pollingIntervalSeconds: number;
        readonly burstWhenBatchFull: boolean;
      },
      handler: (jobs: readonly object[]) => Promise<void>,
    ): Promise<string>;
    offWork(name: string, options: { readonly wait: boolean }): Promise<void>;
  }
}

declare module '@dbos-inc/dbos-sdk' {
  interface Logger {
    info(entry: unknown): void;
    debug(entry: unknown): void;
    warn(entry: unknown): void;
    error(entry: unknown): void;
  }
  export const DBOS: {
    setConfig(config: {
      readonly name: string;
      readonly systemDatabaseUrl: string;
      readonly systemDatabasePoolSize: number;
      readonly logger: Logger;
    }): void;
    registerWorkflow(
      work: (size: number) => Promise<void>,
      options: { readonly name: string },
    ): (size: number) => Promise<void>;
    runStep<Value>(step: () => Promise<Value>, options: { readonly name: string }): Promise<Value>;
    launch(): Promise<void>;
    shutdown(): Promise<void>;
  };
}

declare module '@restatedev/restate-sdk' {
  import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

  interface Service {
    readonly name: string;
  }
  interface Running<Value> extends Promise<Value> {
    readonly [Symbol.toStringTag]: string;
  }
  export interface Context {
    run<Value>(name: string, step: () => Value): Running<Value>;
  }
  export const RestatePromise: {
    all(running: readonly Running<unknown>[]): Promise<readonly unknown[]>;
  };
  export function service(definition: {
    readonly name: string;
    readonly handlers: Readonly<Record<string, (context: Context, size: number) => Promise<void>>>;
  }): Service;
  export function createEndpointHandler(options: {
    readonly services: readonly Service[];
    readonly logger: () => void;
  }): (request: Http2ServerRequest, response: Http2ServerResponse) => void;
}
