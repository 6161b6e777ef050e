// Those around a server as tests play them: who hands tasks in, and a worker that says only what it is told to say.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import type { Answer, Asking, Wire } from './wire.ts';

/** The body of a task for a worker of type `custom:<kind>`. */
export function taskOf(id: string, kind: string, more: object = {}, data: object = {}): object {
  return {
    task_id: id,
    task_type: 'custom',
    description: `a task of ${kind}`,
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data: { type_name: kind, ...data },
    ...more,
  };
}

/** Hands a task in. */
export function submit(wire: Wire, body: object, asking?: Asking): Promise<Answer> {
  return wire.post('/api/v2/execute-task', body, asking);
}

/** How a task is. */
export async function statusOf(wire: Wire, id: string, query = ''): Promise<Loose> {
  return (await wire.get(`/api/v2/task-status/${id}${query}`)).body;
}

/** A lease as the wire shows it. */
export type Lease = Loose;

/** A worker played by a test. */
export interface Worker {
  readonly agentId: string;
  exchange(said?: object): Promise<Loose>;
  /** The next task, waited for. */
  lease(): Promise<Lease>;
  complete(lease: Lease, output: unknown, more?: object): Promise<Loose>;
  fail(lease: Lease, error?: object): Promise<Loose>;
  report(lease: Lease, progress: object): Promise<Loose>;
}

/** A worker that has made itself known. */
export async function hire(wire: Wire, kind: string, agentId = `worker-of-${kind}`): Promise<Worker> {
  const exchange = async (said: object = {}): Promise<Loose> =>
    (await wire.post('/api/v2/work', { agent_id: agentId, types: [`custom:${kind}`], ...said })).body;
  const refTo = ({ task_id, fencing_token }: Lease): object => ({ task_id, fencing_token });
  await exchange();
  return {
    agentId,
    exchange,
    async lease() {
      const { leases } = await exchange({ slots: 1, wait_seconds: 10 });
      assert.equal(leases.length, 1, 'no task came within ten seconds');
      return leases[0];
    },
    complete: (lease, output, more = {}) =>
      exchange({ results: [{ ...refTo(lease), status: 'completed', output, ...more }] }),
    fail: (lease, error = { message: 'failed as told', recoverable: false }) =>
      exchange({ results: [{ ...refTo(lease), status: 'failed', error }] }),
    report: (lease, progress) => exchange({ progress: [{ ...refTo(lease), ...progress }] }),
  };
}

/** The task's status once it satisfies the condition; asks again each time the server says that something changed. */
export async function until(wire: Wire, id: string, holds: (status: Loose) => boolean): Promise<Loose> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const status = await statusOf(wire, id);
    if (holds(status)) return status;
    assert.ok(performance.now() < deadline, `${id} stayed ${JSON.stringify(status.current_status)}`);
  }
}

/** The task's log lines once this message is among them: lines are written shortly after they were said. */
export async function logged(wire: Wire, id: string, message: string): Promise<Loose[]> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const { logs } = (await wire.get(`/api/v2/task-logs/${id}?limit=1000`)).body;
    if (logs.some((line: Loose) => line.message === message)) return logs;
    assert.ok(performance.now() < deadline, `the log of ${id} never said ${message}`);
  }
}
