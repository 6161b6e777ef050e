// The compose file and the manifests of Kubernetes: that they are what their readers take, that they fit together, and that every
// setting in them is one the program knows.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { loadConfig } from '../src/app/config.ts';
import { running } from '../test/e2e/running.ts';
import { at, madeKeys, missing, pathOf, textOf, type Yaml, type YamlMap, yamlOf } from './reading.ts';

const CACHE = pathOf('../node_modules/.cache');
const MANIFESTS = readdirSync(pathOf('kubernetes')).filter(name => name.endsWith('.yaml'));
/** Kinds that are not the API's own: one is kustomize's, one KEDA's. */
const FOREIGN = ['Kustomization', 'ScaledObject'];

function manifests(): readonly (readonly [file: string, body: YamlMap])[] {
  return MANIFESTS.flatMap(file => yamlOf(`kubernetes/${file}`).map(body => [file, body] as const));
}

function manifest(kind: string): YamlMap {
  const [, body] =
    manifests().find(([, { kind: found }]) => found === kind) ?? assert.fail(`there is no ${kind}`);
  return body;
}

/** What the compiler says of manifests as literals of the API's types: unknown fields and wrong types are errors. */
function typeFaults(t: TestContext, bodies: readonly YamlMap[]): string {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'manifests-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const lines = bodies.map(
    (body, index) =>
      `import type { I${body.kind} as I${index} } from 'kubernetes-models/${body.apiVersion}';\n` +
      `export const m${index}: I${index} = ${JSON.stringify(body)};`,
  );
  writeFileSync(join(folder, 'manifests.ts'), lines.join('\n'));
  const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: [] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['manifests.ts'] }));
  return spawnSync(pathOf('../node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' }).stdout;
}

/** What the schema of its kind says of a manifest. */
async function schemaFaults(body: YamlMap): Promise<string | null> {
  const models = (await import(`kubernetes-models/${body.apiVersion}`)) as Readonly<
    Record<string, new (body: YamlMap) => { validate(): void }>
  >;
  const Model = models[String(body.kind)] ?? assert.fail(`no model of ${body.kind}`);
  try {
    new Model(body).validate();
    return null;
  } catch (error) {
    return String(error);
  }
}

/** An environment of compose with its variables put in. */
function environmentOf(
  service: Yaml,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const put = (text: string): string =>
    text.replaceAll(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, how?: string, other?: string) => {
      const value = given[name];
      if (value !== undefined) return value;
      if (how === '-') return other ?? '';
      return assert.fail(`${name} is not given`);
    });
  return Object.fromEntries(
    Object.entries(at(service, 'environment') as YamlMap).map(([name, value]) => [name, put(String(value))]),
  );
}

test('every manifest is what the API of Kubernetes takes, field by field, and a misspelt field is found', async t => {
  const own = manifests().filter(([, { kind }]) => !FOREIGN.includes(String(kind)));
  assert.ok(own.length >= 7);
  for (const [file, body] of own) assert.equal(await schemaFaults(body), null, file);
  const bodies = own.map(([, body]) => body);
  assert.equal(typeFaults(t, bodies), '');
  const service = manifest('Service');
  const misspelt = { ...service, spec: { ...(service.spec as YamlMap), sessionAfinity: 'None' } };
  assert.match(typeFaults(t, [misspelt]), /sessionAfinity/);
  assert.notEqual(await schemaFaults({ ...service, spec: { ports: 'http' } }), null);
});

test('nodes are added before one is drained, probed by what they say, and given longer to end than they drain', () => {
  const pod = at(manifest('Deployment'), 'spec', 'template', 'spec');
  assert.deepEqual(at(manifest('Deployment'), 'spec', 'strategy', 'rollingUpdate'), {
    maxSurge: 1,
    maxUnavailable: 0,
  });
  const node = at(pod, 'containers', 0);
  assert.equal(at(node, 'readinessProbe', 'httpGet', 'path'), '/api/v2/health/ready');
  assert.equal(at(node, 'livenessProbe', 'httpGet', 'path'), '/api/v2/health/live');
  const settings = Object.fromEntries(
    (at(node, 'env') as readonly YamlMap[]).map(({ name, value }) => [name, value ?? 'pod-1']),
  ) as Record<string, string>;
  const secret = at(manifest('Secret'), 'stringData') as Readonly<Record<string, string>>;
  const { drainMs, serverId, masterKey } = loadConfig({
    environment: {
      ...secret,
      ...settings,
      BATUTA_MASTER_KEY: madeKeys().BATUTA_MASTER_KEY,
      BATUTA_AUDIT_KEY: madeKeys().BATUTA_AUDIT_KEY,
    },
  });
  assert.deepEqual([serverId, masterKey?.length], ['pod-1', 32]);
  const preStop = Number(at(node, 'lifecycle', 'preStop', 'sleep', 'seconds'));
  assert.ok(Number(at(pod, 'terminationGracePeriodSeconds')) * 1_000 > preStop * 1_000 + drainMs);
  assert.deepEqual(at(pod, 'initContainers', 0, 'args'), ['migrate']);
  assert.equal(at(pod, 'securityContext', 'runAsNonRoot'), true);
  const labels = at(manifest('Deployment'), 'spec', 'template', 'metadata', 'labels');
  for (const selector of [
    at(manifest('Service'), 'spec', 'selector'),
    at(manifest('Deployment'), 'spec', 'selector', 'matchLabels'),
    at(manifest('PodDisruptionBudget'), 'spec', 'selector', 'matchLabels'),
    at(manifest('NetworkPolicy'), 'spec', 'podSelector', 'matchLabels'),
  ])
    assert.deepEqual(selector, labels);
});

test('the autoscaler asks for what the health of a server says', async t => {
  const house = await running();
  t.after(() => house.stop());
  const [trigger] = at(manifest('ScaledObject'), 'spec', 'triggers') as readonly YamlMap[];
  const { pathname } = new URL(String(at(trigger, 'metadata', 'url')));
  const health = (await (await fetch(`${house.url}${pathname}`)).json()) as YamlMap;
  assert.equal(at(health, ...String(at(trigger, 'metadata', 'valueLocation')).split('.')), 0);
  const [external] = at(manifest('HorizontalPodAutoscaler'), 'spec', 'metrics') as readonly YamlMap[];
  assert.equal(at(external, 'external', 'metric', 'name'), 'batuta_queue_size');
});

test('the manifests go together by kustomize', { skip: missing('kubectl', ['version', '--client']) }, () => {
  const whole = execFileSync('kubectl', ['kustomize', pathOf('kubernetes')], { encoding: 'utf8' });
  for (const kind of [
    'Deployment',
    'Service',
    'PodDisruptionBudget',
    'HorizontalPodAutoscaler',
    'NetworkPolicy',
  ])
    assert.match(whole, new RegExp(`^kind: ${kind}$`, 'm'));
});

test('the compose file runs two nodes that differ in nothing but their names, behind the balancer, after the migration', () => {
  const [file] = yamlOf('compose.yaml');
  const keys = madeKeys();
  const configs = ['node-1', 'node-2'].map(name => {
    const service = at(file, 'services', name);
    assert.equal(at(service, 'depends_on', 'migrate', 'condition'), 'service_completed_successfully');
    const config = loadConfig({ environment: environmentOf(service, keys) });
    assert.equal(config.serverId, name);
    assert.ok(Number.parseInt(String(at(service, 'stop_grace_period')), 10) * 1_000 > config.drainMs);
    return { ...config, serverId: '' };
  });
  assert.deepEqual(configs[0], configs[1]);
  assert.equal(configs[0]?.databaseUrl, `postgres://batuta:${keys.POSTGRES_PASSWORD}@postgres:5432/batuta`);
  assert.deepEqual(at(file, 'services', 'migrate', 'command'), ['migrate']);
  const balancer = environmentOf(at(file, 'services', 'balancer'), keys);
  const wanted = [...textOf('haproxy.cfg').matchAll(/\$\{(\w+)\}/g)].map(([, name = '']) => name);
  assert.deepEqual(Object.keys(balancer).toSorted(), [...new Set(wanted)].toSorted());
  assert.throws(() => environmentOf(at(file, 'services', 'node-1'), {}), /is not given/);
  for (const name of ['node-1', 'node-2']) assert.ok(Object.values(balancer).includes(`${name}:8400`));
});
