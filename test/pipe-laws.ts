// Pipes over a store: what the ends see of each other, what a later attempt finds, and what an earlier one can no longer do.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { DomainError } from '../src/domain/errors.ts';
import type { FencingToken, TaskId, TenantId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import type { Json } from '../src/domain/json.ts';
import { type PipePositions, withPositions } from '../src/domain/pipe.ts';
import type { WorkLease } from '../src/engine/api.ts';
import { NOW, type Open, read, setup, write } from './pipe-scene.ts';

const MIB = 1_024 ** 2;
const PATIENT = { waitMs: 20_000, signal: new AbortController().signal };

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
  testWithoutCheckpoint(place);
  testCheckpoints(place);
  testRefusedCheckpoints(place);
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

function testWithoutCheckpoint({ place, open, skip }: Place): void {
  test(`SAM-229 a reader by checkpoint that dies before its first checkpoint gets everything once more, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    await scene.pipes.openInput(scene.end('r'), 'checkpoint');
    for (const number of [1, 2]) await write(scene, number);
    assert.equal(await read(scene, 1), '2: chunk 2');
    await scene.again('r');
    const position = await scene.pipes.openInput(scene.end('r'), 'checkpoint');
    assert.deepEqual(position, { acknowledged: 0, state: null });
    assert.equal(await read(scene, 0), '1: chunk 1');
  });
}

function testCheckpoints({ place, open, skip }: Place): void {
  test(`SAM-229 SAM-230 what a reader by checkpoint has read is kept until a checkpoint of its own includes it, and the next attempt gets the rest once more, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    const { pipes, end, leaseOf } = scene;
    await scene.begin('w', 'r');
    for (let number = 1; number <= 5; number++) await write(scene, number);
    assert.deepEqual(await pipes.openInput(end('r'), 'checkpoint'), { acknowledged: 0, state: null });
    await assert.rejects(pipes.acknowledge(end('r'), 5), code('conflict'));
    assert.equal((await scene.chunks()).length, 5);
    assert.deepEqual((await scene.checkpoint('r', { sum: 6 }, { in: 3 })).rejected, []);
    assert.equal((await scene.chunks()).length, 2);
    assert.equal(await read(scene, 4), '5: chunk 5');
    // It dies having read all five.
    await scene.again('r');
    assert.deepEqual([leaseOf('r').task.checkpoint, leaseOf('r').positions], [{ sum: 6 }, { in: 3 }]);
    assert.deepEqual(await pipes.openInput(end('r'), 'checkpoint'), { acknowledged: 3, state: null });
    assert.equal(await read(scene, 3), '4: chunk 4');
    assert.equal(await read(scene, 4), '5: chunk 5');
  });

  test(`SAM-229 a node that dies between keeping a checkpoint and letting go leaves no gap and nothing double: the next attempt stands where the checkpoint says, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    const { pipes, end, leaseOf } = scene;
    await scene.begin('w', 'r');
    await pipes.openInput(end('r'), 'checkpoint');
    for (const number of [1, 2, 3]) await write(scene, number);
    const { task, token } = leaseOf('r');
    const died = new Error('the node died');
    const keeping = pipes.checkpoint({ tenant: task.tenant, taskId: task.id, token }, { in: 2 }, async () => {
      const checkpoint = withPositions({ sum: 3 }, { in: 2 });
      const guard = { by: 'lease', token } as const;
      await scene.house.store.commit([{ key: task.key, guard, events: [], checkpoint }]);
      throw died;
    });
    await assert.rejects(keeping, died);
    assert.equal((await scene.chunks()).length, 3, 'nothing was let go of');
    await scene.again('r');
    assert.deepEqual(leaseOf('r').task.checkpoint, { sum: 3 });
    assert.deepEqual(await pipes.openInput(end('r'), 'checkpoint'), { acknowledged: 2, state: null });
    assert.equal(await read(scene, 2), '3: chunk 3');
    assert.equal((await scene.chunks()).length, 1, 'and now it was');
  });
}

function testRefusedCheckpoints({ place, open, skip }: Place): void {
  test(`SAM-229 a checkpoint that is older than what was let go of, or ahead of the writer, or of an attempt that lost its lease, changes nothing, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    for (const number of [1, 2, 3]) await write(scene, number);
    const refusal = async (state: Json, positions: PipePositions, lease?: WorkLease) =>
      (await scene.checkpoint('r', state, positions, lease)).rejected[0]?.error.code;
    assert.equal(await refusal(1, { in: 1 }), 'conflict', 'it is not read by checkpoint');
    await scene.pipes.openInput(scene.end('r'), 'checkpoint');
    assert.equal(await refusal(2, { in: 2 }), undefined);
    assert.equal(await refusal('older', { in: 1 }), 'conflict');
    assert.equal(await refusal('ahead', { in: 4 }), 'conflict');
    assert.equal(await refusal('elsewhere', { out: 1 }), 'not_found');
    const zombie = scene.leaseOf('r');
    await scene.again('r');
    assert.equal(await refusal('late', { in: 3 }, zombie), 'lease_lost');
    assert.equal(scene.leaseOf('r').task.checkpoint, 2);
    const position = await scene.pipes.openInput(scene.end('r'), 'checkpoint');
    assert.deepEqual(position, { acknowledged: 2, state: null });
    assert.equal((await scene.chunks()).length, 1);
  });

  test(`SAM-229 a reader whose checkpoint does not go as far as what was let go of is refused, not given a stream with a gap, over ${place}`, {
    skip,
  }, async t => {
    const scene = await setup(t, open);
    await scene.begin('w', 'r');
    for (const number of [1, 2, 3]) await write(scene, number);
    await scene.pipes.openInput(scene.end('r'), 'checkpoint');
    await scene.checkpoint('r', 'at two', { in: 2 });
    await scene.agent.report(scene.leaseOf('r'), { checkpoint: 'somewhere' });
    await scene.again('r');
    assert.equal(scene.leaseOf('r').task.checkpoint, 'somewhere');
    await assert.rejects(scene.pipes.openInput(scene.end('r'), 'checkpoint'), code('conflict'));
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
