import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { loadConfig } from '../../src/app/config.ts';
import { createExecutors } from '../../src/app/registry.ts';
import { HostBreakers } from '../../src/guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../../src/guards/outbound.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { taskOf } from '../e2e/crew.ts';
import type { Loose } from '../serve.ts';
import { draw, SEED } from './draw.ts';
import { fieldsOf, sampleOf, withValue } from './hostile.ts';
import { forAll, isRight, openScene } from './scene.ts';

const scene = await openScene();
after(() => scene.stop());
const { admin } = scene;

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
