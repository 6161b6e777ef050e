// The tour itself, from beginning to end: what an orchestrator does on a good day, and the worst that can happen to it half-way.

import { RejectedError, type TaskOutput } from '../../src/sdk/index.ts';
import { audit, type Findings } from './audit.ts';
import type { Board } from './board.ts';
import { type Dataset, makeDataset } from './dataset.ts';
import { type House, openHouse, order, orderAll, seconds } from './house.ts';
import {
  dataOrders,
  MONTHLY,
  outlookOrders,
  reportOrders,
  seasonOrder,
  summaryOrders,
  trendOrder,
} from './orders.ts';
import type { Scene } from './scene.ts';
import { YEARBOOK, type YearbookFacts, yearbookFacts, yearbookOrder } from './yearbook.ts';

/** How big the tour is. */
export interface TourOptions {
  readonly rows: number;
  readonly seed: number;
  /** 24 at most. */
  readonly shops: number;
}

/** What came of it. */
export interface TourResult {
  readonly dataset: Dataset;
  readonly findings: Findings;
  /** Whether DuckDB's sums are those a plain loop over the rows gives. */
  readonly dataAgrees: boolean;
  /** The shop whose growth the analysis found to be the greatest. */
  readonly fastest: string;
  /** Why the Python analysis was left out; null where it ran. */
  readonly pythonMissing: string | null;
  readonly kill: KillFacts;
  readonly yearbook: YearbookFacts;
  /** The report on the fastest shop. */
  readonly report: string;
}

/** What the kill interrupted, and how long it took to be back. */
export interface KillFacts {
  readonly done: number;
  readonly held: number;
  /** Tasks ordered in the moment of the kill. */
  readonly orderedMeanwhile: number;
  /** From the kill until a new server was ready. */
  readonly downMs: number;
}

const WORKERS = ['ada', 'grace'] as const;
const SUBSTITUTE = 'edith';
/** For all ends, once the server is back. */
const WAIT_MS_MAX = 60_000;

/** Plays the tour; what it starts is put away with the resources, however it ends. */
export async function tour(
  scene: Scene,
  options: TourOptions,
  resources: AsyncDisposableStack,
): Promise<TourResult> {
  const dataset = makeDataset(options);
  scene.tell(
    `${dataset.rows} rows of sales made from seed ${options.seed}, ${dataset.spoilt} of them spoilt on purpose`,
  );
  const house = await openHouse(scene, resources);
  const [monthlyFileId] = await Promise.all([
    aggregate(house, dataset),
    ...WORKERS.map(name => house.hire(name)),
  ]);
  const dataAgrees = await agrees(house, dataset);
  const pythonMissing = await analyse(house, dataset, monthlyFileId);
  const victim = await halfWay(scene.board);
  const kill = await killAndRestart(house, dataset, victim);
  scene.tell('waiting for every acknowledged task to end');
  const outputs = await allEnds(house);
  scene.tell('all ends are in; auditing them against the server’s own records');
  const yearbook = yearbookFacts(outputs.get(YEARBOOK));
  const findings = await audit(house.client, [...house.acknowledged], house.receiver, yearbook.tasks);
  const { fastest = '' } = resultOf(outputs.get('trend')) as { fastest?: string };
  const report = await reportOn(house, fastest);
  await house.stop();
  return { dataset, findings, dataAgrees, fastest, pythonMissing, kill, yearbook, report };
}

/** Stage one: the CSV goes up, DuckDB adds it up. Answers the id of the file that everything else reads. */
async function aggregate(house: House, dataset: Dataset): Promise<string> {
  const { client, orchestrator, scene } = house;
  const regions = summaryOrders(dataset).length;
  scene.board.plan(3 + 2 + 2 * regions + dataset.shops.length + 1);
  const sales = await client.artifacts.upload({
    name: 'sales.csv',
    type: 'data_file',
    mediaType: 'text/csv',
    source: dataset.csv,
  });
  scene.tell(`sales.csv is stored (${Math.round(sales.size_bytes / 1_024)} KiB); DuckDB is to add it up`);
  await orderAll(house, dataOrders(sales.artifact_id));
  const { artifacts } = await orchestrator.wait(MONTHLY);
  const file = artifacts.find(({ name }) => name === 'monthly.json');
  if (file === undefined) throw new Error('the aggregation left no monthly.json');
  return file.artifact_id;
}

/** Whether DuckDB put aside as many rows as were spoilt, and its revenues add up to what the rows hold. */
async function agrees({ orchestrator }: House, { spoilt, revenueCents }: Dataset): Promise<boolean> {
  const { output } = await orchestrator.wait(MONTHLY);
  const { rows, rows_rejected: rejected } = output as {
    rows: readonly { revenue: number | string }[];
    rows_rejected: number;
  };
  const cents = rows.reduce((sum, { revenue }) => sum + Math.round(100 * Number(revenue)), 0);
  return rejected === spoilt && cents === revenueCents;
}

/** Stages two and three are ordered together, with who waits for whom. Answers why Python was left out, if it was. */
async function analyse(house: House, dataset: Dataset, monthlyFileId: string): Promise<string | null> {
  const { scene } = house;
  await order(house, trendOrder(monthlyFileId));
  const pythonMissing = await orderPython(house, monthlyFileId);
  const analyses = pythonMissing === null ? ['trend', 'season'] : ['trend'];
  const orders = [
    yearbookOrder(),
    ...outlookOrders(dataset, monthlyFileId),
    ...reportOrders(dataset, analyses),
  ];
  await orderAll(house, orders);
  scene.tell(
    `${orders.length + analyses.length} tasks of analysis and reports are ordered, waiting for one another`,
  );
  return pythonMissing;
}

async function orderPython(house: House, monthlyFileId: string): Promise<string | null> {
  const { scene } = house;
  const season = seasonOrder(monthlyFileId);
  try {
    await order(house, season);
    return null;
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    scene.board.remove(season.id);
    scene.board.plan(scene.board.planned - 1);
    // The first clause says what is missing, the rest what an operator can do about it.
    const [missing = error.message] = error.message.split(/ \(|;/);
    scene.tell(`Python is left out, JavaScript goes on alone: ${missing}`);
    return missing;
  }
}

/** Resolves half-way, with the worker to be killed: one in the middle of a report, with a checkpoint to show for it. */
async function halfWay(board: Board): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  board.watch(() => {
    const reports = board.tasks.filter(({ stage }) => stage === 'reports');
    const isHalf = board.done >= board.planned / 2 || !reports.some(({ state }) => state === 'waiting');
    const busy = WORKERS.find(name => board.running(name).some(({ percentage }) => percentage > 0));
    if (isHalf && busy !== undefined) resolve(busy);
    // On a machine so slow that no progress was told before the end, there is nobody to be caught at it.
    if (reports.every(({ state }) => state === 'completed' || state === 'failed')) resolve(WORKERS[0]);
  });
  return promise;
}

async function killAndRestart(house: House, dataset: Dataset, victim: string): Promise<KillFacts> {
  const { scene, processes, workers } = house;
  const { board } = scene;
  const facts = { done: board.done, held: board.running().length };
  const summaries = summaryOrders(dataset);
  // Some of these orders may reach the dying server, some its successor, some both: each is one task all the same.
  const ordered = orderAll(house, summaries);
  const killedAt = performance.now();
  const restarted = (async () => {
    await Promise.all([house.server.kill(), workers.get(victim)?.kill()]);
    for (const name of ['server', victim]) scene.process(name, 'killed');
    scene.tell(
      `SIGKILL for the server and the worker ${victim}: ${facts.done} of ${board.planned} tasks done, ${facts.held} under way`,
      'bad',
    );
    house.server = await processes.server(Number(new URL(house.server.url).port));
    const downMs = performance.now() - killedAt;
    scene.process('server', 'up', house.server.pid);
    scene.tell(`the server is back on the same data, ${seconds(downMs)} after the kill`, 'good');
    return downMs;
  })();
  const hired = house.hire(SUBSTITUTE).then(() => {
    scene.tell(`worker ${SUBSTITUTE} has taken the place of ${victim}`);
  });
  const [downMs] = await Promise.all([restarted, hired, ordered]);
  scene.tell(`${summaries.length} tasks that were ordered meanwhile are acknowledged`);
  return { ...facts, orderedMeanwhile: summaries.length, downMs };
}

/** Waits for all ends; what does not end in time is left for the audit to find. */
async function allEnds({ orchestrator, acknowledged }: House): Promise<ReadonlyMap<string, TaskOutput>> {
  const waits = await Promise.allSettled(
    [...acknowledged].map(id => orchestrator.wait(id, { timeoutMs: WAIT_MS_MAX })),
  );
  return new Map(
    waits.flatMap(wait => (wait.status === 'fulfilled' ? [[wait.value.taskId, wait.value] as const] : [])),
  );
}

function resultOf(output: TaskOutput | undefined): object {
  const { result } = (output?.output ?? {}) as { result?: object };
  return result ?? {};
}

async function reportOn({ client }: House, shop: string): Promise<string> {
  if (shop === '') return '';
  const [file] = await client.artifacts.list(`report-${shop.toLowerCase()}`);
  if (file === undefined) return '';
  const download = await client.artifacts.download(file.artifact_id);
  return new TextDecoder().decode(await download.bytes());
}
