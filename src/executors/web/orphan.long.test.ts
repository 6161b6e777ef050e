// What becomes of browsers whose server is killed, and of a host where the strongest confinement does not work. This file is also the
// server that is killed: it runs one when it is given a site.

import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pause, systemClock } from '../../runtime/clock.ts';
import { withoutBrowser } from './browser.test.ts';
import { attempt, makeExecutor, WebAttempted } from './fixture.test.ts';
import { processesNaming } from './processes.ts';
import { startSite } from './site.test.ts';

const skip = withoutBrowser;
const [, , site] = process.argv;

if (site?.startsWith('http://127.0.0.1:') === true) await serveOneJob(site);

async function serveOneJob(url: string): Promise<void> {
  const executor = makeExecutor();
  await executor.start();
  const payload = {
    target_url: `${url}/late`,
    steps: [
      { type: 'wait', seconds: 0.01 },
      { type: 'wait', seconds: 60 },
    ],
  };
  await new WebAttempted(executor, tmpdir()).run(payload, {
    onReport: ({ currentStep }) => {
      if (currentStep?.startsWith('Step 2') === true) process.send?.('busy');
    },
  });
}

async function startVictim(t: TestContext, url: string): Promise<ChildProcess> {
  const child = fork(new URL(import.meta.url), [url], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

test('a server that is killed takes its browser with it, and the next one removes its files', {
  skip,
}, async t => {
  const { url, stop } = await startSite();
  t.after(stop);
  const victim = await startVictim(t, url);
  const prefix = `batuta-browser-${victim.pid}-`;
  const left = () => processesNaming(prefix).map(({ text }) => text.slice(0, 80));
  assert.ok(left().length > 0);
  victim.kill('SIGKILL');
  await once(victim, 'exit');
  const patient = systemClock.monotonic() + 5_000;
  while (left().length > 0 && systemClock.monotonic() < patient) await pause(systemClock, 20);
  assert.deepEqual(left(), []);
  const executor = makeExecutor();
  t.after(() => executor.stop());
  await executor.start();
  assert.deepEqual(
    (await readdir(tmpdir())).filter(name => name.startsWith(prefix)),
    [],
  );
});

test('SAM-121 where the sandbox of Chromium does not work the next way is tried, and the status says which it is', {
  skip,
}, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'batuta-web-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const chromium = join(directory, 'chromium');
  const script = '#!/bin/sh\ncase "$*" in *--no-sandbox*) exec /usr/bin/chromium "$@";; esac\nexit 1\n';
  await writeFile(chromium, script, { mode: 0o755 });
  const { url, stop } = await startSite();
  t.after(stop);
  const executor = makeExecutor({ chromium, allowUnconfined: true });
  t.after(() => executor.stop());
  await executor.start();
  assert.match(String(executor.status().detail.confinement), /sandbox$/);
  const { items } = await (await attempt(t, executor)).output({
    target_url: `${url}/late`,
    extraction_rules: { title: 'h1' },
  });
  assert.deepEqual(items, [{ title: 'late' }]);
  assert.equal(executor.status().detail.confinement, process.getuid?.() === 0 ? 'user' : 'none');
});
