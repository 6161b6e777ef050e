import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DomainError } from '../domain/errors.ts';
import { systemClock } from '../runtime/clock.ts';
import { SchemaGuard } from './schemas.ts';

const OURS = { type: 'object', required: ['name'], properties: { name: { type: 'string' } } };
const guard = new SchemaGuard(systemClock, [OURS]);
after(() => guard.stop());

const faultsOf = (error: unknown) => (error instanceof DomainError ? error.details.errors : null);

test('a schema of ours names every fault with its path', async () => {
  await assert.rejects(guard.check(OURS, {}, 'task_data'), error => {
    assert.deepEqual(faultsOf(error), [{ field: 'task_data.name', message: 'is required' }]);
    return true;
  });
  await guard.check(OURS, { name: 'x' }, 'task_data');
});

test('SAM-175 a worker’s own schema refuses what does not match it, with a field list', async () => {
  const schema = { type: 'object', properties: { count: { type: 'integer', minimum: 1 } } };
  await guard.check(schema, { count: 2 }, 'task_data');
  await assert.rejects(guard.check(schema, { count: 0 }, 'task_data'), error => {
    assert.deepEqual(faultsOf(error), [{ field: 'task_data.count', message: 'must be >= 1' }]);
    return true;
  });
});

test('a fault in a branch of a condition is named once', async () => {
  const schema = {
    if: { required: ['type'], properties: { type: { const: 'a' } } },
    // biome-ignore lint/suspicious/noThenProperty: `then` is the keyword of JSON Schema.
    then: { properties: { size: { type: 'integer' } } },
    else: false,
  };
  const refused = async (data: object) =>
    await guard.check(schema, data as never, 'task_data').then(
      () => null,
      error => faultsOf(error),
    );
  assert.equal(await refused({ type: 'a', size: 1 }), null);
  const [fault, ...more] = (await refused({ type: 'a', size: 'large' })) as object[];
  assert.deepEqual([fault, more], [{ field: 'task_data.size', message: 'must be integer' }, []]);
  assert.deepEqual(await refused({ type: 'b' }), [
    { field: 'task_data', message: 'boolean schema is false' },
  ]);
});

test('a schema that is none is refused when it is registered', async () => {
  await assert.rejects(guard.admit({ type: 'nonsense' }, 'schemas.input'), DomainError);
  await guard.admit({ type: 'string' }, 'schemas.input');
});

test('a hostile pattern is killed within its time and the next check still works', async () => {
  const hostile = { type: 'string', pattern: '^(a+)+$' };
  await assert.rejects(guard.check(hostile, `${'a'.repeat(40)}!`, 'task_data'), /too long/);
  await guard.check({ type: 'string' }, 'fine', 'task_data');
});

test('a schema cannot pull in another document', async () => {
  await assert.rejects(
    guard.check({ $ref: 'http://127.0.0.1:1/schema.json' }, 'x', 'task_data'),
    DomainError,
  );
});

test('however many schemas there are, each judges its own data', async () => {
  const schemas = Array.from({ length: 40 }, (_, minimum) => ({ type: 'integer', minimum }));
  for (const _ of ['compiled', 'remembered'])
    for (const [minimum, schema] of schemas.entries()) {
      await guard.check(schema, minimum, 'task_data');
      await assert.rejects(guard.check(schema, minimum - 1, 'task_data'), DomainError);
    }
});
