// Following what goes on, over broken connections: a task's or a tenant's events without gap or repeat, a task's log line by line.

import type { JsonObject } from '../domain/json.ts';
import { pause } from './clock.ts';
import { BatutaError, ConnectionError, ServerError } from './errors.ts';
import { outcomeOf } from './outcome.ts';
import { lines, serverSentEvents, textChunks } from './streams.ts';
import { backoffMs, type Transport } from './transport.ts';
import type { LogFilter, LogRecord, StreamEvent, StreamEventName, TaskStatus } from './wire.ts';

/** Three missed heartbeats (a comment every 15 s, `SAM-65`) mean the connection is dead, whatever TCP says. */
const SILENCE_MAX_MS = 45_000;
const RECONNECT = { firstDelayMs: 250, delayMaxMs: 10_000 };

/** How to follow events. */
export interface FollowOptions {
  /** The id of the last event already seen: the stream goes on after it. */
  readonly lastEventId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Connections that may fail in a row before the error is thrown; without it there is no limit. */
  readonly failuresMax?: number;
  /** Told each time a connection stands: from then on nothing is missed. */
  readonly onOpen?: () => void;
}

/**
 * Events in order, each once: reconnects with `Last-Event-ID` after a break. Ends after `end` where the stream has an end, never
 * by itself otherwise; throws what reconnecting cannot mend.
 */
export async function* followEvents(
  transport: Transport,
  stream: { readonly path: string; readonly query?: object; readonly ends: boolean },
  options: FollowOptions = {},
): AsyncGenerator<StreamEvent, void> {
  const vigil = { clock: transport.clock, silenceMaxMs: SILENCE_MAX_MS };
  let last = options.lastEventId ?? null;
  let wishedMs: number | null = null;
  let failures = 0;
  for (;;) {
    try {
      const response = await transport.open({
        method: 'GET',
        path: stream.path,
        query: stream.query,
        headers: { accept: 'text/event-stream', ...(last === null ? {} : { 'last-event-id': last }) },
        signal: options.signal,
      });
      // Resumed after its last event: there is nothing more to come.
      if (response.status === 204) return;
      options.onOpen?.();
      const events = serverSentEvents(textChunks(response, vigil), last, ms => {
        wishedMs = ms;
      });
      for await (const event of events) {
        failures = 0;
        last = event.id;
        yield { id: event.id, event: event.event as StreamEventName, data: dataOf(event.data) };
        if (stream.ends && event.event === 'end') return;
      }
      throw new ConnectionError({ code: 'CONNECTION_FAILED', message: 'the stream was closed', status: 0 });
    } catch (error) {
      options.signal?.throwIfAborted();
      failures += 1;
      if (failures >= (options.failuresMax ?? Number.POSITIVE_INFINITY)) throw error;
      if (error instanceof BatutaError && !error.retryable) throw error;
    }
    await pause(transport.clock, wishedMs ?? backoffMs(failures, RECONNECT), options.signal);
  }
}

/** A task's log from the beginning (or `since`) on, as it is written, until the task ends; a break is resumed after the last line. */
export async function* followLogs(
  transport: Transport,
  taskId: string,
  filter: LogFilter & { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<LogRecord, void> {
  const { signal, ...query } = filter;
  let latest = { timestamp: query.since, lines: new Set<string>() };
  for (let failures = 1; ; failures += 1) {
    // `since` is inclusive: after a break the lines of the last instant come again.
    const repeated = new Set(latest.lines);
    try {
      const response = await transport.open({
        method: 'GET',
        path: `/api/v2/task-logs/${encodeURIComponent(taskId)}`,
        query: { ...query, since: latest.timestamp, follow: true },
        signal,
      });
      for await (const line of lines(textChunks(response))) {
        if (line === '' || repeated.has(line)) continue;
        const record = recordOf(line);
        if (record.timestamp !== latest.timestamp) latest = { timestamp: record.timestamp, lines: new Set() };
        latest.lines.add(line);
        failures = 0;
        yield record;
      }
      const path = `/api/v2/task-status/${encodeURIComponent(taskId)}`;
      const status = await transport.json<TaskStatus>({ method: 'GET', path, signal });
      if (outcomeOf(status) !== null) return;
      throw new ConnectionError({ code: 'CONNECTION_FAILED', message: 'the log was cut short', status: 0 });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof BatutaError && !error.retryable) throw error;
      await pause(transport.clock, backoffMs(Math.max(1, failures), RECONNECT), signal);
    }
  }
}

function recordOf(line: string): LogRecord {
  try {
    return JSON.parse(line) as LogRecord;
  } catch (cause) {
    throw new ServerError({
      code: 'INVALID_ANSWER',
      message: `a log line is not JSON: ${line.slice(0, 80)}`,
      status: 200,
      cause,
    });
  }
}

/** The event's data as an object; anything else the server may send is kept under `value`. */
function dataOf(text: string): JsonObject {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { value };
  } catch {
    return { value: text };
  }
}
