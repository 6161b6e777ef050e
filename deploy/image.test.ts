// The image: what the linter says, what we ask of it beyond, and that what it copies is there.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { validate } from 'dockerfile-utils';
import { loadConfig } from '../src/app/config.ts';
import { pathOf, textOf } from './reading.ts';

const ROOT = pathOf('..');

/** Instructions with their arguments, continued lines joined. */
function instructions(): readonly (readonly [name: string, rest: string])[] {
  return textOf('Dockerfile')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter(line => /^[A-Z]+ /.test(line))
    .map(line => [
      line.slice(0, line.indexOf(' ')),
      line.slice(line.indexOf(' ') + 1).replaceAll(/\s+/g, ' '),
    ]);
}

function argumentsOf(name: string): readonly string[] {
  return instructions().flatMap(([instruction, rest]) => (instruction === name ? [rest] : []));
}

test('the linter finds nothing in the Dockerfile, and finds what is put wrong in it', () => {
  const text = textOf('Dockerfile');
  assert.deepEqual(validate(text), []);
  for (const wrong of [text.replace('WORKDIR', 'WORKDIRS'), text.replace('EXPOSE 8400', 'EXPOSE web')])
    assert.notDeepEqual(validate(wrong), []);
});

test('the image is built in one stage and run in another, by a user that is not root, with a health check', () => {
  assert.deepEqual(
    argumentsOf('FROM').map(rest => rest.split(' AS ')[1]),
    ['build', 'run'],
  );
  const built = argumentsOf('RUN').flatMap(rest => rest.split(' && '));
  assert.ok(
    built.some(step => step.startsWith('npm ci')) && built.some(step => step.startsWith('npm run build')),
  );
  assert.deepEqual(argumentsOf('USER'), ['1000:1000']);
  assert.match(argumentsOf('HEALTHCHECK')[0] ?? '', /\/api\/v2\/health\/ready/);
  assert.match(argumentsOf('ENTRYPOINT')[0] ?? '', /"node", "dist\/cli\/main.js"\]$/);
  const [node] = argumentsOf('ARG');
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  assert.equal(`>=${/^NODE_TAG=(\d+)-/.exec(node ?? '')?.[1]}`, engines.node);
});

test('what is copied from the checkout is there, and is let through to the builder', () => {
  const copied = argumentsOf('COPY')
    .filter(rest => !rest.startsWith('--from'))
    .flatMap(rest => rest.split(' ').slice(0, -1));
  assert.ok(copied.length > 3);
  const allowed = textOf('Dockerfile.dockerignore').split('\n');
  for (const path of copied) {
    assert.ok(existsSync(join(ROOT, path)), path);
    assert.ok(allowed.includes(`!${path}`), `${path} is not sent to the builder`);
  }
});

test('the image’s settings are ones that the program knows', () => {
  const settings = Object.fromEntries(
    argumentsOf('ENV').flatMap(rest =>
      [...rest.matchAll(/(BATUTA_\w+)=(\S+)/g)].map(([, name = '', value]) => [name, value]),
    ),
  );
  const { host, port, dataDir } = loadConfig({ environment: settings });
  assert.deepEqual([host, port, dataDir], ['0.0.0.0', 8_400, '/var/lib/batuta']);
});
