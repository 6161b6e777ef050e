// The unit for systemd: what systemd itself says of it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../src/app/config.ts';
import { missing, textOf } from './reading.ts';

const skip = missing('systemd-analyze', ['--version']);
/** On systemd's scale from 0 to 10; what has nothing set has 9.6. */
const EXPOSURE_MAX = 3;

/** The unit with a program that is there. */
function written(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-unit-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'batuta.service');
  writeFileSync(path, text.replace('/usr/bin/node', process.execPath));
  return path;
}

function verified(path: string): string {
  const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
  // Other units of this machine are not ours to judge.
  return `${stdout}${stderr}`
    .split('\n')
    .filter(line => line.includes('batuta'))
    .join('\n');
}

test('systemd finds nothing wrong with the unit, and finds what is put wrong in it', { skip }, t => {
  const text = textOf('batuta.service');
  assert.equal(verified(written(t, text)), '');
  assert.match(verified(written(t, text.replace('UMask=0077', 'UMask=loud'))), /mode value/);
  assert.match(verified(written(t, text.replace('PrivateTmp=', 'PrivateTemp='))), /PrivateTemp/);
});

test('systemd counts the unit among the well confined', { skip }, t => {
  const path = written(t, textOf('batuta.service'));
  const args = ['security', '--offline=true', `--threshold=${EXPOSURE_MAX * 10}`, '--no-pager', path];
  const said = execFileSync('systemd-analyze', args, { encoding: 'utf8' });
  const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
  assert.ok(exposure <= EXPOSURE_MAX, String(exposure));
});

test('the unit’s settings are known to the program, and it is given longer to stop than it drains', () => {
  const text = textOf('batuta.service');
  const settings = Object.fromEntries(
    [...text.matchAll(/(BATUTA_\w+)=(\S+)/g)].map(([, name = '', value]) => [name, value]),
  );
  const { dataDir, drainMs } = loadConfig({ environment: settings });
  assert.equal(dataDir, '/var/lib/batuta');
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1]) * 1_000 > drainMs);
});
