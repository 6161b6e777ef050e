// The input of the demo: a year of sales of a chain of coffee shops, made from a seed so that everyone gets the same file.
// As a program it prints the CSV: node examples/demo/dataset.ts --rows 50000 --seed 7 > sales.csv

import { parseArgs } from 'node:util';

/** A shop and what drives its sales. */
export interface Shop {
  readonly name: string;
  readonly region: string;
  /** Share of its sales it gains over the year. */
  readonly growth: number;
}

/** The file, and what is known about it without any database: whatever the demo computes must agree. */
export interface Dataset {
  readonly csv: string;
  readonly rows: number;
  /** Rows spoilt on purpose, which a validation has to put aside. */
  readonly spoilt: number;
  /** Of the sound rows, in cents. */
  readonly revenueCents: number;
  readonly shops: readonly Shop[];
  /** The shop that was made to grow fastest. */
  readonly fastest: string;
}

const REGIONS: Readonly<Record<string, readonly string[]>> = {
  north: ['Alder', 'Birch', 'Cedar', 'Fir'],
  east: ['Heron', 'Ibis', 'Jay', 'Lark'],
  south: ['Basil', 'Chive', 'Dill', 'Fennel'],
  west: ['Agate', 'Beryl', 'Coral', 'Jade'],
  coast: ['Anchor', 'Buoy', 'Capstan', 'Davit'],
  hills: ['Crag', 'Dell', 'Glen', 'Tor'],
};
/** Name and price in cents. */
const PRODUCTS = [
  ['espresso', 240],
  ['flat white', 380],
  ['filter', 290],
  ['cold brew', 450],
  ['cocoa', 420],
  ['tea', 260],
  ['croissant', 310],
  ['beans', 990],
] as const;
const SPOILT_SHARE = 0.01;
const FASTEST_GROWTH = 4;
const DAY_MS = 86_400_000;
const YEAR_START = Date.UTC(2025, 0, 1);
const DAYS = 365;
/** As many as the demo takes. */
export const ROWS = 24_000;

/** Makes so many rows over so many shops (24 at most); the same for the same seed. */
export function makeDataset(options: {
  readonly rows: number;
  readonly seed: number;
  readonly shops?: number;
}): Dataset {
  const random = seeded(options.seed);
  const shops = shopsFrom(random, options.shops ?? 24);
  const fastest = shops.reduce((best, shop) => (shop.growth > best.growth ? shop : best));
  const lines = ['order_id,day,shop,region,product,quantity,unit_price'];
  let spoilt = 0;
  let revenueCents = 0;
  for (let row = 1; row <= options.rows; row++) {
    const shop = pick(shops, random);
    const day = dayOfSale(shop, random);
    const [product, priceCents] = pick(PRODUCTS, random);
    const quantity = 1 + Math.floor(4 * random() ** 2);
    const isSpoilt = random() < SPOILT_SHARE;
    if (isSpoilt) spoilt += 1;
    else revenueCents += quantity * priceCents;
    const [sold, price] = isSpoilt
      ? pick([[0, priceCents] as const, [-quantity, priceCents] as const, [quantity, null] as const], random)
      : [quantity, priceCents];
    lines.push([row, day, shop.name, shop.region, product, sold, price === null ? '' : euros(price)].join());
  }
  return {
    csv: `${lines.join('\n')}\n`,
    rows: options.rows,
    spoilt,
    revenueCents,
    shops,
    fastest: fastest.name,
  };
}

function shopsFrom(random: () => number, count: number): readonly Shop[] {
  const all = Object.entries(REGIONS).flatMap(([region, names]) => names.map(name => ({ name, region })));
  // Across the regions rather than along them, so that a few shops are in all of them.
  const spread = all.map((_, at) => all[(at % 6) * 4 + Math.floor(at / 6)] ?? all[0]);
  const chosen = spread.slice(0, count).flatMap(shop => (shop === undefined ? [] : [shop]));
  const star = Math.floor(random() * chosen.length);
  return chosen.map((shop, at) => ({ ...shop, growth: at === star ? FASTEST_GROWTH : random() * 0.5 - 0.2 }));
}

/** A day drawn so that the shop's sales grow linearly over the year, with a dip in summer. */
function dayOfSale(shop: Shop, random: () => number): string {
  const most = 1 + Math.max(0, shop.growth);
  for (;;) {
    const share = random();
    const season = 0.8 + 0.2 * Math.cos(2 * Math.PI * share);
    if (random() * most < (1 + shop.growth * share) * season)
      return new Date(YEAR_START + Math.floor(share * DAYS) * DAY_MS).toISOString().slice(0, 10);
  }
}

function pick<Item>(items: readonly Item[], random: () => number): Item {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError('there is nothing to pick from');
  return item;
}

function euros(cents: number): string {
  return (cents / 100).toFixed(2);
}

/** Mulberry32: small, fast, and the same on every machine. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: String(ROWS) },
      seed: { type: 'string', default: '7' },
      shops: { type: 'string', default: '24' },
    },
  });
  const { csv } = makeDataset({
    rows: Number(values.rows),
    seed: Number(values.seed),
    shops: Number(values.shops),
  });
  process.stdout.write(csv);
}
