// `npm test`: every unit and end-to-end test, some files to a process, for most cost less than starting one and loading the house; the
// long simulations and chaos runs are scripts, not tests. Arguments narrow the run to files whose path contains one of them; what takes
// long alone (`*.long.test.ts`) runs only when named so: `npm test -- .long.`; what takes minutes and gigabytes (`*.soak.test.ts`), which
// CI leaves out, by `npm test -- .soak.`.

import { globSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FILES_A_PROCESS = 30;
/** Most tests wait more than they compute; long ones start programs of their own. */
const [PROCESSES_AT_ONCE, LONG_AT_ONCE] = [4, 2];
const TEST_MS_MAX = 120_000;
/** What the suite, and a file, may take; what has not ended after three times that is killed. */
const RUN_MS_MAX = 300_000;
const SLOWEST_SHOWN = 12;
/** What takes long or much has a process to itself. */
const LONG = /\.(?:long|soak)\.test\.ts$/;

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
const wanted = process.argv.slice(2);
const files = globSync([
  'src/**/*.test.ts',
  'test/**/*.test.ts',
  'deploy/**/*.test.ts',
  'examples/**/*.test.ts',
])
  .filter(path => (wanted.length === 0 ? !LONG.test(path) : wanted.some(part => path.includes(part))))
  .sort();

if (files.length === 0) {
  console.error(`no test file's path contains ${wanted.join(' or ')}`);
  process.exit(1);
}

const fileMs = new Map<string, number>();
const broken = new Set<string>();
let totals = 'nothing ran';
const started = performance.now();
// Of this run alone, so that two may go on at a time.
const gatherings = `${root}node_modules/.cache/batuta/tests-${process.pid}`;
process.once('exit', () => rmSync(gatherings, { recursive: true, force: true }));
mkdirSync(gatherings, { recursive: true });
const events = run({
  files: gathered(files),
  concurrency: files.some(path => LONG.test(path)) ? LONG_AT_ONCE : PROCESSES_AT_ONCE,
  execArgv: [`--test-timeout=${TEST_MS_MAX}`],
  signal: AbortSignal.timeout(3 * RUN_MS_MAX),
});
events.on('test:pass', noteFile);
events.on('test:fail', noteFile);
events.on('test:fail', ({ file }) => {
  if (file?.includes('/.cache/batuta/tests-') === false) broken.add(file.replace(root, ''));
});
events.on('test:summary', ({ file, counts, success }) => {
  if (file !== undefined) return;
  const { tests, passed, skipped } = counts;
  totals = `${tests} tests: ${passed} passed, ${tests - passed - skipped} failed, ${skipped} skipped`;
  process.exitCode = success ? 0 : 1;
});
process.exitCode = 1;
const report = events.compose(spec);
report.pipe(process.stdout);
await finished(report);
conclude();

/** Programs that run some of the files each, one after another, as a test named after it: a suite would load all before the first ran. */
function gathered(paths: readonly string[]): readonly string[] {
  const [alone, shared] = [paths.filter(path => LONG.test(path)), paths.filter(path => !LONG.test(path))];
  const count = Math.max(
    Math.ceil(shared.length / FILES_A_PROCESS),
    Math.min(shared.length, PROCESSES_AT_ONCE),
  );
  // Dealt out one by one, so that neighbours, which are alike, do not all wait for the same process.
  const hands = Array.from({ length: count }, (_, hand) => shared.filter((_, at) => at % count === hand));
  return [...hands, ...alone.map(path => [path])].map((some, at) => {
    const tests = some.map(
      path => `test('${path}', { timeout: ${RUN_MS_MAX} }, () => import('${pathToFileURL(root + path)}'));`,
    );
    const program = `${gatherings}/${at}.mjs`;
    writeFileSync(program, ["import { test } from 'node:test';", ...tests, ''].join('\n'));
    return program;
  });
}

function noteFile({
  name,
  nesting,
  details,
}: {
  name: string;
  nesting: number;
  details: { duration_ms: number };
}) {
  if (nesting === 0) fileMs.set(name, details.duration_ms);
}

function conclude(): void {
  const slowest = [...fileMs].sort(([, a], [, b]) => b - a).slice(0, SLOWEST_SHOWN);
  console.log(`\nslowest: ${slowest.map(([path, ms]) => `${path} ${inSeconds(ms)}`).join(', ')}`);
  if (broken.size > 0) console.log(`failing files:\n${[...broken].map(path => `  ${path}`).join('\n')}`);
  const tookMs = performance.now() - started;
  const slow = tookMs > RUN_MS_MAX ? `, more than the ${inSeconds(RUN_MS_MAX)} it may take` : '';
  console.log(`${files.length} files, ${totals}, in ${inSeconds(tookMs)}${slow}`);
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
