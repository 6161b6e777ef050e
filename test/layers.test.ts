// The laws of the house that imports and names can break: floors, siblings, the registry, cycles, ports, and the homes of
// environment, clock and chance. Each rule is a function from a tree to the places that break it, and is shown to fail on a
// synthetic tree beside its verdict on the real one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isIdentifier,
  isInterfaceDeclaration,
  isNewExpression,
  isPropertyAccessExpression,
  isStringLiteral,
  SyntaxKind,
} from 'typescript/unstable/ast';
import {
  type Import,
  importsOf,
  isTest,
  parse,
  place,
  readFiles,
  synthetic,
  type Tree,
  walkNodes,
} from './tree.ts';

const FLOORS = [
  'domain',
  'runtime',
  'store',
  'engine',
  'guards',
  'executors',
  'channels',
  'participants',
  'protocols',
  'telemetry',
  'http',
  'sdk',
  'app',
  'cli',
];

const REGISTRY = 'src/app/registry.ts';
const VERBS_MAX = 30;
const house = parse(readFiles(['src']));

/** The floor a file lives on; entry files directly under src/ stand above all floors. */
function floorOf(path: string): number {
  const [, folder, below] = path.split('/');
  return below === undefined ? FLOORS.length : FLOORS.indexOf(folder ?? '');
}

/** The adapter folder a file lives in (`src/protocols/sam`, `src/store/sqlite`), or null; what all message wires share is no wire. */
function adapterOf(path: string): string | null {
  if (path.startsWith('src/protocols/dialect/')) return null;
  const adapter = /^src\/(?:(?:protocols|executors|channels|participants)|store(?:\/blobs)?)\/[^/]+(?=\/)/;
  return adapter.exec(path)?.[0] ?? null;
}

function brokenImports(tree: Tree, breaks: (from: string, imported: Import) => string | null): string[] {
  return [...tree].flatMap(([path, file]) =>
    importsOf(path, file).flatMap(imported => {
      const reason = breaks(path, imported);
      return reason === null
        ? []
        : [`${imported.at} imports ${imported.to ?? imported.specifier}: ${reason}`];
    }),
  );
}

function floorsBroken(tree: Tree): string[] {
  const strangers = [...tree.keys()].filter(path => floorOf(path) < 0);
  const imports = brokenImports(tree, (from, { to, specifier, typeOnly }) => {
    if (!isTest(from) && from.startsWith('src/sdk/')) {
      if (to === null ? specifier.startsWith('node:') : to.startsWith('src/sdk/')) return null;
      const isDomainType = typeOnly && to?.startsWith('src/domain/') === true;
      return isDomainType ? null : 'the SDK takes nothing but types of the domain';
    }
    if (to === null) return from.startsWith('src/domain/') && !isTest(from) ? 'the domain is pure' : null;
    if (to.startsWith('test/') && isTest(from)) return null;
    if (!to.startsWith('src/')) return 'outside the house';
    return floorOf(to) <= floorOf(from) ? null : 'a floor above';
  });
  return [...strangers.map(path => `${path} stands on no floor`), ...imports];
}

function siblingsMet(tree: Tree): string[] {
  return brokenImports(tree, (from, { to }) => {
    const [mine, other] = [adapterOf(from), adapterOf(to ?? '')];
    if (mine === null || other === null || mine === other) return null;
    return floorOf(mine) === floorOf(other) ? 'an adapter reaches into another' : null;
  });
}

function registryBypassed(tree: Tree): string[] {
  return brokenImports(tree, (from, { to }) => {
    const other = adapterOf(to ?? '');
    if (other === null || floorOf(other) === floorOf(adapterOf(from) ?? '')) return null;
    return from === REGISTRY || isTest(from) ? null : `only ${REGISTRY} reaches into an adapter folder`;
  });
}

/** Each file that can reach itself again through imports, with the way round. */
function cycles(tree: Tree): string[] {
  const next = new Map<string, readonly string[]>();
  for (const [path, file] of tree)
    next.set(
      path,
      importsOf(path, file).flatMap(({ to }) => (to === null ? [] : [to])),
    );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path].join(' -> '));
    if (done.has(path)) return;
    done.add(path);
    for (const to of next.get(path) ?? []) visit(to, [...way, path]);
  };
  for (const path of next.keys()) visit(path, []);
  return found;
}

function serversLeaked(tree: Tree): string[] {
  return brokenImports(tree, (from, { specifier }) =>
    /^@?fastify(?:\/|$)/.test(specifier) && !from.startsWith('src/http/')
      ? 'only http/ knows the server'
      : null,
  );
}

/** Executor and channel folders that import no port of the engine. */
function portsMissed(tree: Tree): string[] {
  const folders = new Map<string, boolean>();
  for (const [path, file] of tree) {
    const adapter = adapterOf(path);
    if (adapter === null || isTest(path) || !/^src\/(?:executors|channels)\//.test(adapter)) continue;
    const implementsPort = importsOf(path, file).some(({ to }) => to?.startsWith('src/engine/ports/'));
    folders.set(adapter, implementsPort || folders.get(adapter) === true);
  }
  return [...folders].flatMap(([adapter, has]) =>
    has ? [] : [`${adapter} implements no port of the engine`],
  );
}

function portsTooWide(tree: Tree): string[] {
  const found: string[] = [];
  for (const [path, file] of tree) {
    if (
      !/^src\/(?:engine\/ports\/.*|store\/(?:store|blobs|mail|memory)|protocols\/protocol|protocols\/dialect\/dialect)\.ts$/.test(
        path,
      )
    )
      continue;
    for (const statement of file.statements) {
      if (!isInterfaceDeclaration(statement)) continue;
      const verbs = statement.members.filter(member => /^\w+\s*[(<]/.test(member.getText())).length;
      if (verbs > VERBS_MAX) found.push(`${path} ${statement.name.text} has ${verbs} verbs`);
    }
  }
  return found;
}

function storesNamed(tree: Tree): string[] {
  return nodesThat(tree, (path, node) => {
    if (!path.startsWith('src/engine/') || isTest(path)) return false;
    const text = isIdentifier(node) || isStringLiteral(node) ? node.text : '';
    return /sqlite|postgres/i.test(text);
  });
}

const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate']);

function environmentRead(tree: Tree): string[] {
  return nodesThat(tree, (path, node) => {
    if (isTest(path) || path === 'src/app/config.ts') return false;
    return isMember(node, 'process', 'env') || (isStringLiteral(node) && node.text === 'node:process');
  });
}

/** Uses of the system's clock, timers or chance outside runtime/. The SDK runs in other people's programs, so it keeps time itself. */
function worldTouched(tree: Tree): string[] {
  return nodesThat(tree, (path, node) => {
    if (isTest(path) || /^src\/(?:runtime|sdk)\//.test(path)) return false;
    if (isMember(node, 'Date', 'now') || isMember(node, 'performance', 'now')) return true;
    if (isMember(node, 'Math', 'random') || isMember(node, 'AbortSignal', 'timeout')) return true;
    if (isStringLiteral(node)) return /^(?:node:)?timers(?:\/promises)?$/.test(node.text);
    if (isNewExpression(node)) return isNamed(node.expression, 'Date') && (node.arguments?.length ?? 0) === 0;
    if (isCallExpression(node) && isNamed(node.expression, 'Date')) return true;
    return isIdentifier(node) && TIMERS.has(node.text) && !isMemberName(node);
  });
}

function nodesThat(tree: Tree, matches: (path: string, node: Node) => boolean): string[] {
  const found: string[] = [];
  for (const [path, file] of tree)
    walkNodes(file, node => {
      if (matches(path, node)) found.push(`${place(path, node)} ${node.getText()}`);
    });
  return found;
}

function isNamed(node: Node, name: string): boolean {
  return isIdentifier(node) && node.text === name;
}

function isMember(node: Node, object: string, name: string): boolean {
  if (!isPropertyAccessExpression(node) || node.name.text !== name) return false;
  return isNamed(node.expression, object) || isMember(node.expression, 'globalThis', object);
}

/** True where the identifier is only a member's name, as in `clock.name` or `{ name() {} }`, unless the object is the global one. */
function isMemberName(node: Node): boolean {
  const { parent } = node;
  if (parent.kind === SyntaxKind.ShorthandPropertyAssignment) return false;
  if (isPropertyAccessExpression(parent) && isNamed(parent.expression, 'globalThis')) return false;
  return 'name' in parent && parent.name === node;
}

test('law 1: a folder imports only floors below it', () => {
  assert.deepEqual(floorsBroken(house), []);
});

test('law 1 catches an import upwards, an impure domain, an SDK that takes code, and a folder on no floor', () => {
  const tree = synthetic({
    'src/store/store.ts': "import type { Engine } from '../engine/engine.ts'; import '../domain/task.ts';",
    'src/engine/engine.ts':
      "export const load = () => import('../http/server.ts'); import '../../web/app.ts';",
    'src/domain/task.ts': "import { readFile } from 'node:fs';",
    'src/sdk/client.ts': "import { x } from '../domain/task.ts'; import type { T } from '../domain/task.ts';",
    'src/misc/thing.ts': '',
    'src/misc.test.ts': "import '../test/harness.ts';",
    'src/index.ts': "export * from './sdk/client.ts'; export * from './app/compose.ts';",
  });
  assert.deepEqual(floorsBroken(tree), [
    'src/misc/thing.ts stands on no floor',
    'src/domain/task.ts:1 imports node:fs: the domain is pure',
    'src/engine/engine.ts:1 imports web/app.ts: outside the house',
    'src/engine/engine.ts:1 imports src/http/server.ts: a floor above',
    'src/sdk/client.ts:1 imports src/domain/task.ts: the SDK takes nothing but types of the domain',
    'src/store/store.ts:1 imports src/engine/engine.ts: a floor above',
  ]);
});

test('law 1: adapters never import their siblings', () => {
  assert.deepEqual(siblingsMet(house), []);
});

test('law 1 catches an adapter that reaches into another, store drivers and blob adapters included', () => {
  const tree = synthetic({
    'src/protocols/army/army.ts': "import { a } from '../blog/blog.ts'; import { p } from '../protocol.ts';",
    'src/executors/web/web.ts': "import { a } from './page.ts'; import { d } from '../data/deep/er.ts';",
    'src/store/sqlite/driver.ts':
      "import { a } from '../postgres/driver.ts'; import type { S } from '../store.ts';",
    'src/store/blobs/disk/disk.ts': "import { a } from '../s3/s3.ts';",
  });
  assert.deepEqual(siblingsMet(tree), [
    'src/executors/web/web.ts:1 imports src/executors/data/deep/er.ts: an adapter reaches into another',
    'src/protocols/army/army.ts:1 imports src/protocols/blog/blog.ts: an adapter reaches into another',
    'src/store/blobs/disk/disk.ts:1 imports src/store/blobs/s3/s3.ts: an adapter reaches into another',
    'src/store/sqlite/driver.ts:1 imports src/store/postgres/driver.ts: an adapter reaches into another',
  ]);
});

test('law 1: imports make no cycle, not even of types', () => {
  assert.deepEqual(cycles(house), []);
});

test('law 1 catches a cycle of types', () => {
  const tree = synthetic({
    'src/a.ts': "import type { B } from './b.ts';",
    'src/b.ts': "import { C } from './c.ts';",
    'src/c.ts': "export type { A } from './a.ts';",
    'src/d.ts': "import { C } from './c.ts';",
  });
  assert.deepEqual(cycles(tree), ['src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts']);
});

test('law 2: only the registry reaches into an adapter folder', () => {
  assert.deepEqual(registryBypassed(house), []);
});

test('law 2 catches a bypass of the registry, and lets tests and addresses of files pass', () => {
  const tree = synthetic({
    'src/app/registry.ts': "import '../protocols/sam/sam.ts'; import '../store/sqlite/driver.ts';",
    'src/app/compose.ts': "import '../channels/webhook/webhook.ts';",
    'src/engine/engine.ts': "import type { Row } from '../store/sqlite/driver.ts';",
    'src/engine/engine.test.ts': "import '../store/sqlite/driver.ts';",
    'src/executors/web/web.ts': "import '../../channels/webhook/webhook.ts';",
    'src/executors/web/web.test.ts': "import '../../store/sqlite/driver.ts';",
    'src/engine/pool.ts': "new Worker(new URL('../store/sqlite/thread.ts', import.meta.url));",
  });
  assert.deepEqual(registryBypassed(tree), [
    `src/app/compose.ts:1 imports src/channels/webhook/webhook.ts: only ${REGISTRY} reaches into an adapter folder`,
    `src/engine/engine.ts:1 imports src/store/sqlite/driver.ts: only ${REGISTRY} reaches into an adapter folder`,
    `src/executors/web/web.ts:1 imports src/channels/webhook/webhook.ts: only ${REGISTRY} reaches into an adapter folder`,
  ]);
});

test('law 3: adapters implement the ports of the engine, and only http/ knows the server', () => {
  assert.deepEqual([...portsMissed(house), ...serversLeaked(house)], []);
});

test('law 3 catches a protocol that speaks to the server, and an executor without a port', () => {
  const tree = synthetic({
    'src/protocols/sam/sam.ts': "import type { FastifyRequest } from 'fastify';",
    'src/http/server.ts': "import { fastify } from 'fastify';",
    'src/executors/web/web.ts': "import '../../domain/task.ts';",
    'src/channels/webhook/webhook.ts': "import type { Channel } from '../../engine/ports/channel.ts';",
    'src/channels/webhook/body.ts': '',
  });
  assert.deepEqual(
    [...portsMissed(tree), ...serversLeaked(tree)],
    [
      'src/executors/web implements no port of the engine',
      'src/protocols/sam/sam.ts:1 imports fastify: only http/ knows the server',
    ],
  );
});

test('law 4: a port has at most 30 verbs, and the engine never asks which store it has', () => {
  assert.deepEqual([...portsTooWide(house), ...storesNamed(house)], []);
});

test('law 4 catches a port of 31 verbs, and an engine that knows its store', () => {
  const verbs = Array.from({ length: VERBS_MAX + 1 }, (_, at) => `verb${at}(): void;`).join(' ');
  const tree = synthetic({
    'src/store/store.ts': `export interface Store { readonly capabilities: object; ${verbs} }`,
    'src/engine/ports/channel.ts': 'export interface Channel { readonly name: string; send(): void }',
    'src/engine/lease.ts':
      "// sqlite in a comment is harmless\nif (store.kind === 'postgres') usePostgres();",
  });
  assert.deepEqual(
    [...portsTooWide(tree), ...storesNamed(tree)],
    [
      'src/store/store.ts Store has 31 verbs',
      "src/engine/lease.ts:2 'postgres'",
      'src/engine/lease.ts:2 usePostgres',
    ],
  );
});

test('law 5: the environment is read in app/config.ts alone; clock, timers and chance live in runtime/', () => {
  assert.deepEqual([...environmentRead(house), ...worldTouched(house)], []);
});

test('law 5 catches the environment, the clock, a timer and chance away from their homes', () => {
  const world =
    'Date.now(); new Date(); Date(); new Date(7); Math.random(); performance.now(); setTimeout(go, 1);';
  const more =
    "const guest = { setTimeout() {} }; globalThis.setInterval(go, 1); clock.setTimeout(go); AbortSignal.timeout(1); import 'node:timers/promises';";
  const tree = synthetic({
    'src/engine/timers.ts': `${world} ${more}`,
    'src/runtime/clock.ts': world,
    'src/sdk/worker.ts': world,
    'src/engine/timers.test.ts': `${world} process.env.PATH;`,
    'src/app/config.ts': 'process.env.PATH;',
    'src/cli/main.ts': "process.env['PATH']; import { env } from 'node:process';",
  });
  assert.deepEqual(
    [...environmentRead(tree), ...worldTouched(tree)].map(found => found.replace(/^src\//, '')),
    [
      'cli/main.ts:1 process.env',
      "cli/main.ts:1 'node:process'",
      'engine/timers.ts:1 Date.now',
      'engine/timers.ts:1 new Date()',
      'engine/timers.ts:1 Date()',
      'engine/timers.ts:1 Math.random',
      'engine/timers.ts:1 performance.now',
      'engine/timers.ts:1 setTimeout',
      'engine/timers.ts:1 setInterval',
      'engine/timers.ts:1 AbortSignal.timeout',
      "engine/timers.ts:1 'node:timers/promises'",
    ],
  );
});
