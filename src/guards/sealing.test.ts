import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { compactDecrypt } from 'jose';
import { type House, openHouse, orderOf, planOf, until, workAs } from '../../test/harness.ts';
import { DEFAULT_TENANT, type TaskKey } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { Task, TaskSpec } from '../domain/task.ts';
import { hasEnded } from '../domain/transitions.ts';
import type { AttemptContext, AttemptResult } from '../engine/ports/executor.ts';
import { SEALED_FILE_BYTES_MAX } from '../engine/sealing.ts';
import { systemClock } from '../runtime/clock.ts';
import { systemRandom } from '../runtime/random.ts';
import { openFileBlobs } from '../store/files/blobs.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';

const CANARY = 'canary-4f1c9a';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const encryptTo = keys.publicKey.export({ format: 'jwk' }) as JsonObject;
const notification = { ...planOf(['task_completed', 'task_failed', 'task_progress']), encryptTo };

/** An engine over files, and what lies in them once it has stopped. */
async function setup(t: TestContext, run?: (context: AttemptContext) => Promise<AttemptResult>) {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-sealing-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [clock, random] = [systemClock, systemRandom];
  const path = join(dir, 'batuta.db');
  const store = openSqliteInProcess({ path, clock, random, auditKey: Buffer.alloc(32) });
  const house = await openHouse({ dir, store, ...(run === undefined ? {} : { run }) });
  return { dir, house, blobs: await openFileBlobs(dir, random) };
}

async function ended(house: House, id: string): Promise<Task> {
  return until(house, id, ({ state }) => hasEnded(state));
}

async function open(value: Json | Uint8Array | undefined): Promise<string> {
  const jwe = value instanceof Uint8Array ? Buffer.from(value).toString() : (value as JsonObject).jwe;
  const { plaintext } = await compactDecrypt(String(jwe), keys.privateKey);
  return Buffer.from(plaintext).toString();
}

/** The files below a folder in which the text stands as it is. */
function filesWith(dir: string, text: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .filter(path => readFileSync(path).includes(text));
}

async function eventsOf({ store }: House, key: TaskKey): Promise<readonly object[]> {
  return store.events({ of: 'task', key, afterSequence: 0, limit: 100 });
}

test('SAM-177 output, artifacts, intermediate results and prints of a task with encrypt_to are nowhere on disk in the clear', async t => {
  const { dir, house, blobs } = await setup(t, async context => {
    context.log('INFO', `printed ${CANARY}`, { stream: 'stdout' });
    context.report({ percentage: 50, intermediate: { half: CANARY } });
    const source = Readable.from([Buffer.from('file '), Buffer.from(CANARY)]);
    await context.saveArtifact({ name: 'a.txt', type: 'data_file', mediaType: 'text/plain', source });
    return { status: 'completed', output: { secret: CANARY } };
  });
  await house.engine.submit([orderOf('a', { notification })]);
  const task = await ended(house, 'a');
  assert.equal(task.outcome, 'completed');
  assert.deepEqual(Object.keys(task.result?.output as JsonObject), ['jwe']);
  assert.equal(await open(task.result?.output), `{"secret":"${CANARY}"}`);

  const [artifact] = await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id });
  assert.ok(artifact !== undefined);
  assert.deepEqual([artifact.name, artifact.mediaType], ['a.txt', 'application/jose']);
  const bytes = Buffer.concat(await (await blobs.read(artifact.sha256)).toArray());
  assert.equal(await open(bytes), `file ${CANARY}`);

  const progress = (await eventsOf(house, task.key)).find(event => 'intermediate' in event);
  assert.equal(await open((progress as { intermediate: Json }).intermediate), `{"half":"${CANARY}"}`);
  await house.engine.flushJournal();
  assert.deepEqual(filesWith(dir, CANARY), [], 'the write-ahead log holds it');
  await house.stop();
  assert.deepEqual(filesWith(dir, CANARY), []);
});

test('SAM-177 without encrypt_to the same output can be found on disk, so the search for it means something', async t => {
  const { dir, house } = await setup(t, async () => ({ status: 'completed', output: { secret: CANARY } }));
  await house.engine.submit([orderOf('a')]);
  assert.deepEqual((await ended(house, 'a')).result?.output, { secret: CANARY });
  await house.stop();
  assert.equal(filesWith(dir, CANARY).length, 1);
});

test('SAM-177 what an attempt says of its failure is encrypted, its code is not; so are failures that are tried again', async t => {
  const { dir, house } = await setup(t, async () => ({
    status: 'failed',
    error: { code: 'task_failed', message: `bad row ${CANARY}`, recoverable: true, details: { row: CANARY } },
    output: { partial: CANARY },
  }));
  const { retry } = orderOf('a').spec;
  await house.engine.submit([orderOf('a', { notification, retry: { ...retry, attemptsMax: 2 } })]);
  const task = await ended(house, 'a');
  const error = task.result?.error;
  assert.deepEqual([task.attempt, error?.code, error?.recoverable], [2, 'task_failed', true]);
  assert.deepEqual(JSON.parse(await open(error?.details)), {
    message: `bad row ${CANARY}`,
    details: { row: CANARY },
  });
  assert.equal(await open(task.result?.output), `{"partial":"${CANARY}"}`);
  await house.stop();
  assert.deepEqual(filesWith(dir, CANARY), []);
});

test('SAM-177 a checkpoint serves the next attempt in the clear and is dropped at the end', async t => {
  const { house } = await setup(t);
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const spec: Partial<TaskSpec> = { type: 'custom', typeName: 'work', notification };
  await house.engine.submit([
    orderOf('a', { ...spec, retry: { ...orderOf('a').spec.retry, firstDelayMs: 0 } }),
  ]);
  const [first] = (await worker.ask(1)).leases;
  await worker.report(first, { checkpoint: { row: CANARY } });
  await worker.fail(first, {});
  const [second] = (await worker.exchange({ slots: 1, waitMs: 5_000 })).leases;
  assert.deepEqual(second?.task.checkpoint, { row: CANARY });
  await worker.complete(second, null);
  assert.equal((await ended(house, 'a')).checkpoint, null);
  await house.stop();
});

test('SAM-177 a file too large to encrypt fails its attempt with the limit in the error', async t => {
  let refusal: unknown;
  const { house } = await setup(t, async context => {
    const source = new Uint8Array(SEALED_FILE_BYTES_MAX + 1);
    const file = { name: 'big', type: 'binary', mediaType: 'application/octet-stream', source };
    refusal = await context.saveArtifact(file).catch(error => error);
    throw refusal;
  });
  await house.engine.submit([orderOf('a', { notification })]);
  const task = await ended(house, 'a');
  assert.deepEqual([task.outcome, task.result?.error?.code], ['failed', 'payload_too_large']);
  assert.match(await open(task.result?.error?.details), new RegExp(`${SEALED_FILE_BYTES_MAX} bytes at most`));
  assert.deepEqual(await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id }), []);
  await house.stop();
});

test('SAM-177 a key that is unfit or private is refused at the door, and the task is not stored', async t => {
  const { dir, house } = await setup(t);
  const jwk = keys.privateKey.export({ format: 'jwk' }) as JsonObject;
  const order = orderOf('a', { notification: { ...notification, encryptTo: jwk } });
  const [admission] = await house.engine.submit([order]);
  assert.ok(admission?.kind === 'refused');
  assert.equal(admission.error.code, 'invalid_request');
  await house.stop();
  assert.deepEqual(filesWith(dir, String(jwk.d)), []);
});
