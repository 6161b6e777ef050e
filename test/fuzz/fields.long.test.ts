import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { type Operation, type Schema, toldIn } from '../e2e/contract.ts';
import type { Answer } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { draw, SEED } from './draw.ts';
import { fieldsOf, withValue } from './hostile.ts';
import { bodySchema, forAll, isRight, openScene, rightBody, rightPath } from './scene.ts';

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
