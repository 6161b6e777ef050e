// Pipes over a store: what the ends see of each other, what a later attempt finds, and what an earlier one can no longer do.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type { DomainError } from '../src/domain/errors.ts';
import type { FencingToken, TaskId, TenantId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import { CHUNK_TYPE, type PipeMode, type TaskPipes } from '../src/domain/pipe.ts';
import type { WorkLease } from '../src/engine/api.ts';
import type { PipeEnd } from '../src/engine/pipe-calls.ts';
import { type HouseOptions, openHouse, orderOf, workAs } from './harness.ts';

const MIB = 1_024 ** 2;
const NOW = { waitMs: 0, signal: new AbortController().signal };
const PATIENT = { waitMs: 20_000, signal: new AbortController().signal };

/** Where a house keeps things, and what closes that. */
export type Open = () => Promise<{ readonly places: HouseOptions; close(): Promise<void> }>;

/** The pipes from a writer to its readers, by task. */
function pipesBetween(readers: readonly string[], mode: PipeMode): Readonly<Record<string, TaskPipes>> {
  const inputs = { in: { task: 'w', output: 'rows' } };
  return {
    w: { inputs: {}, outputs: { rows: { mode, readers: readers.map(task => ({ task, input: 'in' })) } } },
    ...Object.fromEntries(readers.map(task => [task, { inputs, outputs: {} }])),
    // It says that it reads, and nobody writes for it.
    stranger: { inputs, outputs: {} },
  };
}

/** What the agent holds, by task. */
function leasing(agent: ReturnType<typeof workAs>) {
  const leases = new Map<string, WorkLease>();
  const lease = async (task: string): Promise<void> => {
    for (;;) {
      const answer = await agent.exchange({ slots: 1, waitMs: 5_000 });
      for (const one of answer.leases) leases.set(one.task.id, one);
      if (leases.has(task)) return;
    }
  };
  const leaseOf = (task: string): WorkLease => {
    const found = leases.get(task);
    assert.ok(found);
    return found;
  };
  return {
    lease,
    leaseOf,
    /** Ends the attempt, and leases the next one. */
    async again(task: string): Promise<void> {
      const before = leaseOf(task);
      leases.delete(task);
      await agent.fail(before, {});
      await lease(task);
    },
  };
}

/** A writer's task, its readers' tasks, and an agent that is given their attempts. */
export async function setup(
  t: TestContext,
  open: Open,
  {
    readers = ['r'],
    mode = 'stream',
  }: { readonly readers?: readonly string[]; readonly mode?: PipeMode } = {},
) {
  const { places, close } = await open();
  const house = await openHouse({ ...places, options: { drainMs: 0 } });
  const pipes = pipesBetween(readers, mode);
  const agent = workAs(
    house,
    'agent',
    Object.keys(pipes).map(task => `custom:${task}` as const),
  );
  await agent.hello();
  const { lease, leaseOf, again } = leasing(agent);
  t.after(async () => {
    await house.stop();
    await close();
  });
  return {
    house,
    agent,
    pipes: house.engine.pipes,
    leaseOf,
    /** Hands the task in and leases it. */
    async begin(...tasks: readonly string[]): Promise<void> {
      for (const task of tasks) {
        const spec = { type: 'custom', typeName: task, extra: { workflow: { pipes: pipes[task] } } } as const;
        await house.engine.submit([orderOf(task, spec as never)]);
        await lease(task);
      }
    },
    again,
    end(task: string, tenant: TenantId = DEFAULT_TENANT): PipeEnd {
      const { token } = leaseOf(task);
      return { tenant, taskId: task as TaskId, token, name: task === 'w' ? 'rows' : 'in' };
    },
    /** Its step is over, as its workflow would say. */
    over: (task: string, how: 'ended' | 'failed') =>
      house.engine.pipes.settle(DEFAULT_TENANT, task as TaskId, pipes[task] as TaskPipes, how),
    async chunks() {
      const all = await house.store.artifacts({ tenant: DEFAULT_TENANT });
      return all.filter(({ type }) => type === CHUNK_TYPE);
    },
  };
}

type Scene = Awaited<ReturnType<typeof setup>>;

/** Writes the chunk of that number, waiting for room no longer than told. */
export function write({ pipes, end }: Scene, number: number, bytes = `chunk ${number}`, patience = NOW) {
  const source = Buffer.from(bytes);
  return pipes.write(end('w'), { number, size: source.length, source, state: { upTo: number } }, patience);
}

async function read({ pipes, end }: Scene, after: number, task = 'r'): Promise<string | null> {
  const found = await pipes.read(end(task), after, NOW);
  if (found === null || found.kind === 'end') return found === null ? null : 'end';
  return `${found.number}: ${await text(found.stream)}`;
}

function code(expected: string) {
  return (error: DomainError): boolean => error.code === expected;
}

/** A store by name, and why it is not to be had here. */
interface Place {
  readonly place: string;
  readonly open: Open;
  readonly skip: string | boolean;
}

/** Claims about pipes in a house that keeps things there. */
export function testPipes(place: Place): void {
  testAttempts(place);
  testChunks(place);
  testRoom(place);
  testLeftBehind(place);
}

function testAttempts({ place, open, skip }: Place): void {
  test(`SAM-229 a reader gets the chunks by number, waits for the next, and finds the end once the writer is over, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('r');
    assert.equal(await read(scene, 0), null, 'its writer is not even there');
    await scene.begin('w');
    assert.equal(await write(scene, 1), 'kept');
    assert.equal(await read(scene, 0), '1: chunk 1');
    assert.equal(await read(scene, 1), null);
    const waiting = scene.pipes.read(scene.end('r'), 1, PATIENT);
    await write(scene, 2);
    const found = await waiting;
    assert.ok(found?.kind === 'chunk' && found.number === 2);
    found.stream.destroy();
    await scene.over('w', 'ended');
    assert.equal(await read(scene, 1), '2: chunk 2');
    assert.deepEqual(await scene.pipes.read(scene.end('r'), 2, PATIENT), { kind: 'end' });
  });

  test(`SAM-229 a later attempt of a reader goes on behind the last chunk acknowledged, and an earlier one can acknowledge nothing, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    for (const number of [1, 2, 3]) await write(scene, number);
    const zombie = scene.end('r');
    await scene.pipes.acknowledge(zombie, 2, { sum: 3 });
    await scene.again('r');
    assert.deepEqual(await scene.pipes.openInput(scene.end('r')), { acknowledged: 2, state: { sum: 3 } });
    await assert.rejects(scene.pipes.acknowledge(zombie, 3), code('lease_lost'));
    await assert.rejects(scene.pipes.read(zombie, 2, NOW), code('lease_lost'));
    assert.equal(await read(scene, 2), '3: chunk 3');
    assert.deepEqual(await scene.pipes.openInput(scene.end('r')), { acknowledged: 2, state: { sum: 3 } });
  });

  test(`SAM-229 a later attempt of a writer goes on behind the last chunk, with the state that was written with it, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    await write(scene, 1);
    await write(scene, 2);
    await scene.again('w');
    assert.deepEqual(await scene.pipes.openOutput(scene.end('w')), { written: 2, state: { upTo: 2 } });
    await assert.rejects(write(scene, 2), code('conflict'));
    assert.equal(await write(scene, 3), 'kept');
    assert.equal(await read(scene, 1), '2: chunk 2');
    assert.equal(await read(scene, 2), '3: chunk 3');
  });
}

function testChunks({ place, open, skip }: Place): void {
  test(`SAM-230 a writer that lost its lease while its chunk was under way writes nothing, and leaves nothing, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    await write(scene, 1);
    const zombie = scene.end('w');
    const isRead = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const source = Readable.from(
      (async function* () {
        yield Buffer.from('from the ');
        isRead.resolve();
        await held.promise;
        yield Buffer.from('dead');
      })(),
    );
    const late = scene.pipes.write(zombie, { number: 2, size: 13, source }, NOW);
    await isRead.promise;
    await scene.again('w');
    assert.deepEqual(await scene.pipes.openOutput(scene.end('w')), { written: 1, state: { upTo: 1 } });
    await write(scene, 2, 'from the living');
    held.resolve();
    await assert.rejects(late, code('lease_lost'));
    assert.equal(await read(scene, 1), '2: from the living');
    assert.equal((await scene.chunks()).length, 2);
    assert.equal((await scene.pipes.openOutput(scene.end('w'))).written, 2);
  });

  test(`SAM-230 a chunk sent twice is kept once, and none may be left out, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    const both = await Promise.all([write(scene, 1), write(scene, 1)]);
    assert.deepEqual(both, ['kept', 'kept']);
    assert.equal(await write(scene, 1), 'kept');
    await assert.rejects(write(scene, 3), code('conflict'));
    assert.equal(await read(scene, 0), '1: chunk 1');
    assert.equal(await read(scene, 1), null);
    assert.equal((await scene.chunks()).length, 1);
  });
}

function testRoom({ place, open, skip }: Place): void {
  test(`SAM-230 64 MiB that nobody has acknowledged hold up the writer, which is shown as waiting_downstream, until there is room, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    for (let number = 1; number <= 16; number++)
      assert.equal(await write(scene, number, String.fromCharCode(64 + number).repeat(4 * MIB)), 'kept');
    assert.equal(await write(scene, 17, 'x'), 'full');
    const { house } = scene;
    const task = await house.engine.task(DEFAULT_TENANT, 'w' as TaskId);
    const pending = { chunks: 16, bytes: 64 * MIB };
    const waiting = { because: 'waiting_downstream', output: 'rows', pending };
    assert.deepEqual((await house.engine.forecast(task)).waiting, waiting);
    const blocked = write(scene, 17, 'x', PATIENT);
    await scene.pipes.acknowledge(scene.end('r'), 1);
    assert.equal(await blocked, 'kept');
    assert.equal((await house.engine.forecast(task)).waiting, null);
    assert.equal((await scene.chunks()).length, 16);
  });

  test(`SAM-230 what all readers have acknowledged is gone, bytes and all, and the slowest of them decides what that is, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open, { readers: ['r', 's'] });
    await scene.begin('w', 'r', 's');
    for (const number of [1, 2, 3]) await write(scene, number);
    await scene.pipes.acknowledge(scene.end('r'), 3);
    assert.equal((await scene.chunks()).length, 3);
    assert.equal(await read(scene, 0, 's'), '1: chunk 1');
    await Promise.all([
      scene.pipes.acknowledge(scene.end('s'), 1),
      scene.pipes.acknowledge(scene.end('s'), 2),
    ]);
    assert.deepEqual(
      (await scene.chunks()).map(({ name }) => name),
      ['21:3:w/rows'],
    );
    await assert.rejects(read(scene, 0, 's'), code('not_found'));
    const [view] = await scene.pipes.views(await scene.house.engine.task(DEFAULT_TENANT, 'w' as TaskId));
    assert.deepEqual(view?.pending, { chunks: 1, bytes: 7 });
    assert.equal(view.acknowledged, 2);
  });
}

function testLeftBehind({ place, open, skip }: Place): void {
  test(`SAM-229 a reader whose writer has failed for good gets what was written, and then dependency_failed, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    await write(scene, 1);
    await scene.over('w', 'failed');
    assert.equal(await read(scene, 0), '1: chunk 1');
    await assert.rejects(scene.pipes.read(scene.end('r'), 1, PATIENT), code('dependency_failed'));
  });

  test(`SAM-230 a full pipe that nobody reads any more holds up nobody, over ${place}`, { skip }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    for (let number = 1; number <= 16; number++) await write(scene, number, 'x'.repeat(4 * MIB));
    assert.equal(await write(scene, 17), 'full');
    const waiting = write(scene, 17, 'x', PATIENT);
    await scene.over('r', 'ended');
    assert.equal(await waiting, 'unwanted');
    assert.deepEqual(await scene.chunks(), []);
    await assert.rejects(scene.pipes.acknowledge(scene.end('r'), 1), code('lease_lost'));
  });

  test(`SAM-229 nobody reads what was not written for them, and nobody acknowledges what was not written, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r', 'stranger');
    await write(scene, 1);
    await assert.rejects(read(scene, 0, 'stranger'), code('not_found'));
    await assert.rejects(scene.pipes.acknowledge(scene.end('r'), 2), code('conflict'));
    await assert.rejects(scene.pipes.read(scene.end('r', 'other' as TenantId), 0, NOW), code('lease_lost'));
    const forged = { ...scene.end('w'), token: 99_999 as FencingToken };
    await assert.rejects(scene.pipes.openOutput(forged), code('lease_lost'));
    await assert.rejects(scene.pipes.openOutput({ ...scene.end('w'), name: 'toString' }), code('not_found'));
    assert.equal(await read(scene, 0), '1: chunk 1');
  });
}
