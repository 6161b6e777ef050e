// How fast a tenant's knowledge is searched: hybrid search over 100,000 passages in Spanish and English, with a filter, facets and
// a second look at the best; what the index takes, and how long it is in the making. `node bench/search.ts [passages] [searches]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentId, TenantId } from '../src/domain/ids.ts';
import { Memory } from '../src/engine/memory/memory.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { createLog } from '../src/runtime/log.ts';
import { seededRandom } from '../src/runtime/random.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';

const PASSAGES = Number(process.argv[2] ?? 100_000);
const SEARCHES = Number(process.argv[3] ?? 200);
const PASSAGES_A_DOCUMENT = 20;
const WORDS_A_PASSAGE = 90;
const WORDS = 40_000;
const TENANT = 'acme' as TenantId;
const OWNER = 'librarian' as AgentId;

const random = seededRandom(7, () => 0);

/** Words of two to four syllables; the lower its number, the more often a word is used, as in any language. */
const SYLLABLES = 'ca ven ta ri do mer se cu lo pre gun es tra fic con pla ser vi tem ma ri ne lu por'.split(
  ' ',
);
const VOCABULARY = Array.from({ length: WORDS }, () =>
  Array.from(
    { length: 2 + Math.floor(random.fraction() * 3) },
    () => SYLLABLES[Math.floor(random.fraction() * SYLLABLES.length)],
  ).join(''),
);
const word = (): string => VOCABULARY[Math.floor(WORDS ** random.fraction()) - 1] ?? 'venta';
const sentence = (words: number): string => `${Array.from({ length: words }, word).join(' ')}.`;
const passage = (): string => Array.from({ length: WORDS_A_PASSAGE / 15 }, () => sentence(15)).join(' ');

function percentile(times: readonly number[], share: number): string {
  const sorted = times.toSorted((one, another) => one - another);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
}

const folder = mkdtempSync(join(tmpdir(), 'batuta-search-'));
const store = await openSqlite({ path: join(folder, 'batuta.db'), auditKey: 'bench' });
const log = createLog('warn');
const parts = { log, clock: systemClock, store: store.memory, leads: (): boolean => true };
const memory = new Memory(parts);
await memory.start();

const clock = performance;
let began = clock.now();
let written = 0;
while (written < PASSAGES) {
  const content = Array.from({ length: PASSAGES_A_DOCUMENT }, passage).join('\n\n');
  const { chunks } = await memory.learn({
    ...{ tenant: TENANT, collection: `kb-${written % 4}`, owner: OWNER, id: `document-${written}`, content },
    metadata: { author: `author ${written % 17}`, document_type: written % 3 === 0 ? 'pdf' : 'markdown' },
  });
  written += chunks;
}
console.log(`${written} passages learned in ${((clock.now() - began) / 1_000).toFixed(1)} s`);

const another = new Memory(parts);
const query = (): Parameters<Memory['search']>[0] => ({
  ...{ tenant: TENANT, type: 'hybrid', by: 'chunk', reranking: true, facets: ['author', 'document_type'] },
  ...{ text: Array.from({ length: 3 + Math.floor(random.fraction() * 6) }, word).join(' '), limit: 15 },
  metadataAnyOf: { document_type: ['pdf', 'markdown'] },
});
began = clock.now();
const before = process.cpuUsage();
await another.search(query());
const cpu = process.cpuUsage(before);
console.log(
  `index made in ${((clock.now() - began) / 1_000).toFixed(1)} s (${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU), ${(another.measure().bytes / 1_048_576).toFixed(0)} MB`,
);

const times: number[] = [];
const cpuTimes: number[] = [];
let matches = 0;
for (let search = 0; search < SEARCHES; search++) {
  const asked = query();
  const from = clock.now();
  const cpuFrom = process.cpuUsage();
  const { total } = await another.search(asked);
  times.push(clock.now() - from);
  const { user, system } = process.cpuUsage(cpuFrom);
  cpuTimes.push((user + system) / 1_000);
  matches += total;
}
console.log(
  `hybrid search: p50 ${percentile(times, 0.5)} ms, p95 ${percentile(times, 0.95)} ms, p99 ${percentile(times, 0.99)} ms; CPU p50 ${percentile(cpuTimes, 0.5)} ms, p95 ${percentile(cpuTimes, 0.95)} ms; ${Math.round(matches / SEARCHES)} matches each`,
);
await memory.stop();
await store.stop();
rmSync(folder, { recursive: true });
