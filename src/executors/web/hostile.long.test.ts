import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { AttemptAbort } from '../../engine/ports/executor.ts';
import { withoutBrowser } from './browser.test.ts';
import { attempt, browserDirectories, type Given, NAMES, shared } from './fixture.test.ts';

const bundle = shared();
const skip = withoutBrowser;

/** Living processes that a browser of this process began, and dead ones nobody waited for. */
function browserProcesses(): string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`batuta-browser-${process.pid}-`);
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return isOurs || (state === 'Z' && Number(parent) === process.pid);
    } catch {
      return false;
    }
  });
}

/** A job on one page, that finds its heading. */
const heading = (path: string, more: JsonObject = {}): JsonObject => ({
  target_url: `${bundle.site.url}${path}`,
  extraction_rules: { title: 'h1' },
  ...more,
});

async function errorOf(t: TestContext, payload: JsonObject, given: Given = {}) {
  return await (await attempt(t, bundle.executor)).error(payload, given);
}

/** The next job on the same executor works, whatever the last one met. */
async function assertNextWorks(t: TestContext): Promise<void> {
  const { items } = await (await attempt(t, bundle.executor)).output(heading('/late'));
  assert.deepEqual(items, [{ title: 'late' }]);
}

test('SAM-122 SAM-148 a page reaches nothing of this host: no private address, no file, no socket past the proxy', {
  skip,
}, async t => {
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output({
    target_url: `${bundle.site.url}/nosy`,
    extraction_rules: { told: 'li' },
    options: { wait_for: 'li' },
  });
  assert.deepEqual(output.items, [{ told: 'done' }]);
  assert.ok(Number(output.requests_refused) >= 4, String(output.requests_refused));
  assert.equal(bundle.site.seen.includes('/still'), false);
  assert.equal(bundle.site.seen.includes('/worker.js'), false);
});

test('SAM-122 SAM-148 a redirect to a private address is a policy violation, and one to a page is followed', {
  skip,
}, async t => {
  const error = await errorOf(t, heading('/private'));
  assert.equal(error.code, 'policy_violation');
  assert.equal(error.recoverable, false);
  const moved = await (await attempt(t, bundle.executor)).output({
    target_url: `${bundle.site.url}/moved`,
    extraction_rules: { title: '.product-title' },
  });
  assert.equal(moved.final_url, `${bundle.site.url}/still?p=3`);
});

test('SAM-122 a name that turns private after it was judged is judged again', { skip }, async t => {
  const { port } = new URL(bundle.site.url);
  NAMES['rebind.test'] = ['127.0.0.1'];
  const attempted = await attempt(t, bundle.executor);
  const payload = {
    target_url: `http://rebind.test:${port}/late`,
    steps: [
      {
        type: 'evaluate',
        expression:
          "fetch('/moved', { cache: 'no-store' }).then(answer => answer.status, () => 'unreachable')",
        save_as: 'second',
      },
    ],
  };
  const output = await attempted.output(payload, {
    onReport: () => {
      NAMES['rebind.test'] = ['10.0.0.1'];
    },
  });
  assert.deepEqual(output.results, { second: 'unreachable' });
});

test('SAM-148 a page that is gone fails for good, one that is broken is tried again, robots.txt is obeyed', {
  skip,
}, async t => {
  const gone = await attempt(t, bundle.executor);
  const error = await gone.error(heading('/gone'));
  assert.deepEqual([error.code, error.recoverable, error.details?.status], ['task_failed', false, 404]);
  assert.match(String(gone.saved.get('failure.html')), /<h1>no<\/h1>/);
  const broken = await errorOf(t, heading('/broken'));
  assert.deepEqual(
    [broken.code, broken.recoverable, broken.details?.status],
    ['dependency_failed', true, 500],
  );
  const forbidden = await errorOf(t, heading('/secret'));
  assert.deepEqual([forbidden.code, forbidden.details?.rule], ['policy_violation', 'robots']);
  assert.equal(bundle.site.seen.includes('/secret'), false);
  const allowed = await (await attempt(t, bundle.executor)).output(
    heading('/secret', { options: { obey_robots: false } }),
  );
  assert.deepEqual(allowed.items, [{ title: 'secret' }]);
});

test('SAM-148 a page that never ends, one that never rests and one that is too large end with their time or size', {
  skip,
}, async t => {
  const endless = await errorOf(t, heading('/endless', { options: { page_timeout: 0.5 } }));
  assert.deepEqual([endless.code, endless.recoverable], ['upstream_timeout', true]);
  const spinning = await errorOf(t, heading('/spin', { options: { page_timeout: 0.7 } }));
  assert.equal(spinning.code, 'upstream_timeout');
  const huge = await errorOf(t, heading('/huge'));
  assert.deepEqual([huge.code, huge.recoverable], ['payload_too_large', false]);
  await assertNextWorks(t);
});

test('pop-ups are closed and dialogs dismissed, and the page goes on', { skip }, async t => {
  const attempted = await attempt(t, bundle.executor);
  const { items } = await attempted.output(heading('/noisy'));
  assert.deepEqual(items, [{ title: 'survived' }]);
  assert.ok(attempted.logs.includes('a dialog was dismissed'));
  assert.ok(attempted.logs.includes('a pop-up was closed'));
});

test('options the browser knows nothing of fail the job for good, saying which', { skip }, async t => {
  const error = await errorOf(t, heading('/late', { options: { timezone: 'Nowhere/Town' } }));
  assert.deepEqual([error.code, error.recoverable], ['task_failed', false]);
  assert.match(error.message, /Nowhere\/Town/);
});

test('SAM-143 a required rule that finds nothing fails naming the page and the rule', { skip }, async t => {
  const error = await errorOf(t, {
    target_url: `${bundle.site.url}/late`,
    extraction_rules: { price: { selector: '.price', required: true } },
  });
  assert.equal(error.code, 'task_failed');
  assert.deepEqual(error.details, { url: `${bundle.site.url}/late`, rule: 'price' });
});

test('SAM-117 SAM-118 a page that eats memory, and one that breeds workers, end their own job alone', {
  skip,
}, async t => {
  const bystander = attempt(t, bundle.executor).then(one =>
    one.output(heading('/late', { steps: [{ type: 'wait', seconds: 2 }] }), { tenant: 'other' }),
  );
  const hog = await attempt(t, bundle.executor);
  // Both stay until they are ended: a page that has said enough before it passes a limit has done nothing wrong.
  const stay = { steps: [{ type: 'wait', seconds: 60 }] };
  const error = await hog.error(heading('/hog', stay), { resources: { memoryMb: 600 } });
  assert.deepEqual([error.code, error.details?.resource], ['resource_exhausted', 'memory']);
  assert.equal(hog.warnings.length, 1, String(hog.warnings));
  const bred = await errorOf(t, heading('/workers', stay), { resources: { memoryMb: 600 } });
  assert.equal(bred.code, 'resource_exhausted');
  assert.match(String(bred.details?.resource), /^(?:memory|processes)$/);
  assert.equal((await bystander).total_items, 1);
  await assertNextWorks(t);
});

test('a browser that is killed under a job fails it recoverably, and the next job has another', {
  skip,
}, async t => {
  const attempted = await attempt(t, bundle.executor);
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  const payload = heading('/late', {
    steps: [
      { type: 'wait', seconds: 0.1 },
      { type: 'wait', seconds: 60 },
    ],
  });
  const failed = attempted.error(payload, {
    onReport: ({ currentStep }) => {
      if (currentStep?.startsWith('Step 2') === true) resolve();
    },
  });
  await opened;
  for (const pid of browserProcesses()) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It went with the one before.
    }
  }
  const error = await failed;
  assert.deepEqual([error.code, error.recoverable], ['dependency_failed', true]);
  await assertNextWorks(t);
});

test('an attempt that is told to stop settles within a second and leaves no process and no file', {
  skip,
}, async t => {
  const controller = new AbortController();
  const attempted = await attempt(t, bundle.executor);
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  const running = attempted.run(heading('/spin', { steps: [{ type: 'wait', seconds: 60 }] }), {
    signal: controller.signal,
    onReport: () => resolve(),
  });
  await opened;
  const abortedAt = performance.now();
  controller.abort(new AttemptAbort('cancelled'));
  await assert.rejects(running, AttemptAbort);
  assert.ok(performance.now() - abortedAt < 1_000, `${performance.now() - abortedAt} ms`);
  await bundle.executor.stop();
  assert.deepEqual(browserProcesses(), []);
  assert.deepEqual(await browserDirectories(), []);
});
