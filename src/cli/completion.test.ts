import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AppActions } from './host.ts';
import { commandsOf } from './program.ts';
import { call, directory } from './shell.test.ts';

const app: Partial<AppActions> = { backup: async () => ({}), verifyBackup: async () => ({}) };

async function script(shell: string): Promise<string> {
  const { exitCode, out } = await call(`completion ${shell}`, { app });
  assert.equal(exitCode, 0);
  return out;
}

/** What bash offers after the words, the last of which is being typed. */
function offered(bashScript: string, words: readonly string[]): string[] {
  const line = words.map(word => `'${word}'`).join(' ');
  const program = `${bashScript}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _batuta; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .filter(Boolean);
}

test('the script for bash has no fault bash can find', async () => {
  const bash = await script('bash');
  execFileSync('bash', ['-n'], { input: bash });
  assert.match(bash, /complete -F _batuta batuta/);
});

test('bash offers commands, subcommands, options, choices and files, each where it belongs', async context => {
  const bash = await script('bash');
  assert.deepEqual(offered(bash, ['batuta', 'st']), ['status']);
  assert.deepEqual(offered(bash, ['batuta', 'agents', 'd']), ['drain']);
  assert.deepEqual(offered(bash, ['batuta', 'submit', '--pri']), ['--priority']);
  assert.deepEqual(offered(bash, ['batuta', 'submit', '--priority', '']), [
    'critical',
    'urgent',
    'high',
    'normal',
    'low',
  ]);
  assert.deepEqual(offered(bash, ['batuta', 'tasks', '-s', 'c']), ['completed', 'cancelled']);
  assert.deepEqual(offered(bash, ['batuta', 'backup', 'verify', '--js']), ['--json']);
  assert.deepEqual(offered(bash, ['batuta', 'deliveries', '--stat']), ['--status']);
  assert.deepEqual(offered(bash, ['batuta', 'completion', 'f']), ['fish']);
  const dir = directory(context);
  writeFileSync(join(dir, 'task.json'), '{}');
  assert.deepEqual(offered(bash, ['batuta', 'submit', '--file', `${dir}/t`]), [`${dir}/task.json`]);
  assert.deepEqual(offered(bash, ['batuta', 'status', '--url', 'h']), []);
  const first = offered(bash, ['batuta', '']);
  for (const { name } of commandsOf({ app: { version: '0', ...app } })) assert.ok(first.includes(name), name);
});

test('the scripts for zsh and fish know every command and every option', async () => {
  const [zsh, fish] = await Promise.all([script('zsh'), script('fish')]);
  assert.match(zsh, /^#compdef batuta\n/);
  for (const { name, options = [], subcommands = [] } of commandsOf({ app: { version: '0', ...app } })) {
    assert.ok(zsh.includes(`'${name}:`), `zsh ${name}`);
    assert.ok(fish.includes(`-a ${name} -d`), `fish ${name}`);
    for (const child of subcommands) {
      assert.ok(zsh.includes(`'${child.name}:`), `zsh ${name} ${child.name}`);
      assert.ok(fish.includes(`-a ${child.name} -d`), `fish ${name} ${child.name}`);
    }
    for (const { flags } of [...options, ...subcommands.flatMap(child => child.options ?? [])]) {
      const long = /--([\w-]+)/.exec(flags)?.[1];
      assert.ok(zsh.includes(`'--${long}[`), `zsh ${name} --${long}`);
      assert.ok(fish.includes(` -l ${long} `), `fish ${name} --${long}`);
    }
  }
});

test('quotes in the words of a command cannot break out of a script', async () => {
  const [zsh, fish] = await Promise.all([script('zsh'), script('fish')]);
  assert.ok(zsh.includes("print a task'\\''s log"));
  assert.ok(fish.includes("print a task\\'s log"));
});
