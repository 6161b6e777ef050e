import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import fc from 'fast-check';
import { loadConfig } from '../../src/app/config.ts';
import { createExecutors } from '../../src/app/registry.ts';
import { HostBreakers } from '../../src/guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../../src/guards/outbound.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { type Operation, type Schema, toldIn } from '../e2e/contract.ts';
import { taskOf } from '../e2e/crew.ts';
import type { Answer } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { fieldsOf, sampleOf, VALUES, withValue } from './hostile.ts';
import { bodySchema, forAll, isRight, openScene, rightBody, rightPath } from './scene.ts';

/** Change it to see others; a failure names it. */
const SEED = Number(process.env.BATUTA_TEST_SEED ?? 20_260_101);
/** What each field meets, drawn by the seed. */
const HOSTILE_VALUES = 9;
const RANDOM_VALUES = 3;

const scene = await openScene();
after(() => scene.stop());
const { admin } = scene;
const { operations } = admin.contract;

interface Case {
  readonly operation: Operation;
  readonly path: readonly string[];
  readonly body: unknown;
  readonly right: boolean;
}

/** Hostile values and some that chance makes, for the field of that number. */
function draw(field: number): readonly unknown[] {
  const run = { seed: SEED + field, numRuns: 1 };
  const some = { minLength: HOSTILE_VALUES, maxLength: HOSTILE_VALUES };
  const [hostile = []] = fc.sample(fc.shuffledSubarray([...VALUES], some), run);
  const made = fc.sample(fc.jsonValue({ maxDepth: 3 }), { ...run, numRuns: RANDOM_VALUES });
  return [...hostile, ...made.filter(value => !JSON.stringify(value).includes('__proto__'))];
}

/** Every field of every body, each with its draw. */
function casesOf(): readonly Case[] {
  let at = 0;
  return operations.flatMap(operation => {
    const schema = bodySchema(operation);
    if (schema === undefined) return [];
    return fieldsOf(schema).flatMap(({ path }) => {
      return draw(at++).map(value => caseOf(operation, schema, path, value));
    });
  });
}

function caseOf(operation: Operation, schema: Schema, path: readonly string[], value: unknown): Case {
  const body = withValue(rightBody(operation), schema, path, value);
  return { operation, path, body, right: isRight(schema, body) };
}

async function send({ operation, body }: Case): Promise<Answer> {
  return admin.ask(operation.method, rightPath(operation), { body, expect: null });
}

const told = ({ operation, path, body }: Case, { status, body: answer }: Answer): string =>
  `seed ${SEED}: ${operation.method} ${operation.path} with ${path.join('.')} in ${JSON.stringify(body).slice(0, 300)} answered ${status} ${JSON.stringify(answer).slice(0, 300)}`;

suite('fields of bodies', () => {
  const cases = casesOf();
  const [right, wrong] = [cases.filter(one => one.right), cases.filter(one => !one.right)];

  test('SAM-44 SAM-202 a wrong value in any field of any body is 400 with the field’s path, and nothing is kept', async () => {
    assert.ok(wrong.length > 1_000, `only ${wrong.length} cases`);
    const before = scene.stored();
    await forAll(wrong, async one => {
      const answer = await send(one);
      assert.equal(answer.status, 400, told(one, answer));
      const named: string[] = (toldIn(answer.body, 'errors') ?? []).map((fault: Loose) => fault.field);
      const path = one.path.join('.');
      assert.ok(
        named.some(field => field === path || field.startsWith(`${path}.`)),
        told(one, answer),
      );
    });
    assert.deepEqual(scene.stored(), before);
  });

  test('SAM-202 SAM-203 a strange value that is right is taken or refused with a reason, and never breaks anything', async () => {
    assert.ok(right.length > 200, `only ${right.length} cases`);
    await forAll(right, async one => {
      const answer = await send(one);
      assert.ok(answer.status < 500, told(one, answer));
    });
    await admin.get('/api/v2/health');
    const { body } = await admin.get('/api/v2/audit/verify');
    assert.equal(body.intact, true);
  });
});

suite('task data of the built-in types', () => {
  const parts = { log: silentLog, clock: systemClock, random: systemRandom, version: '0' };
  const outbound = createOutbound({ ...parts, allowed: parsePrivateTargets('') });
  const breakers = new HostBreakers(parts.log, parts.clock, null);
  const executors = createExecutors({
    ...parts,
    outbound,
    breakers,
    config: loadConfig({ environment: {} }),
  });
  after(() => outbound.stop());

  test('SAM-107 SAM-202 a wrong value in any field is 400 with its path below task_data, a right one breaks nothing', async () => {
    const later = { execution_config: { not_before: '2999-01-01T00:00:00Z' } };
    let at = 0;
    for (const { type, payloadSchema } of executors) {
      const data = sampleOf(payloadSchema);
      const cases = fieldsOf(payloadSchema).flatMap(({ path }) =>
        draw(at++).map(value => ({ path, data: withValue(data, payloadSchema, path, value) })),
      );
      assert.ok(cases.length > 100, `${type} has ${cases.length} cases`);
      await forAll(cases, async ({ path, data: task_data }) => {
        const body = { ...taskOf(`data-${type}-${at++}`, 'none', later), task_type: type, task_data };
        const answer = await admin.post('/api/v2/execute-task', body, { expect: null });
        const what = `seed ${SEED}: ${type} with ${path.join('.')} in ${JSON.stringify(task_data).slice(0, 300)} answered ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`;
        assert.ok(answer.status < 500, what);
        if (isRight(payloadSchema, task_data)) return;
        assert.equal(answer.status, 400, what);
        const named: string[] = (answer.body.error.details.errors ?? []).map((fault: Loose) => fault.field);
        assert.ok(named.length > 0 && named.every(field => /^task_data\b/.test(field)), what);
      });
    }
  });
});
