// The shop that is scraped: twelve pages of twenty products, as untidy as shops are. Some products stand on two pages, some have no price.

import { type FarEnd, farEnd } from '../far-end.ts';

/** What a product's card on a page says. */
export interface Product {
  readonly sku: string;
  readonly name: string;
  readonly category: string;
  /** In cents; null where the shop says “on request”. */
  readonly cents: number | null;
  readonly inStock: boolean;
}

const PAGES = 12;
const A_PAGE = 20;
const CATEGORIES = ['lamps', 'chairs', 'tables', 'shelves', 'rugs'] as const;

/** What stands on each page, in order. */
export const PAGES_OF_PRODUCTS: readonly (readonly Product[])[] = Array.from({ length: PAGES }, (_, page) =>
  Array.from({ length: A_PAGE }, (_, at) => product(page * A_PAGE + at)),
);

/** Opens the shop. */
export function openShop(): Promise<FarEnd> {
  return farEnd(({ url }, response) => {
    if (url.pathname !== '/products') return void response.writeHead(404).end();
    const page = Number(url.searchParams.get('page') ?? 1);
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      .end(pageOf(page, PAGES_OF_PRODUCTS[page - 1] ?? []));
  });
}

/** While the list was read a product was sold, and the next page began with what had just been seen: every fortieth comes twice. */
function product(place: number): Product {
  const number = place > 0 && place % 40 === 0 ? place - 1 : place;
  const category = CATEGORIES[number % CATEGORIES.length] ?? 'lamps';
  return {
    sku: `P${String(number).padStart(4, '0')}`,
    name: `${category.slice(0, -1)} no. ${number}`,
    category,
    cents: number % 31 === 30 ? null : 990 + ((number * 7_919) % 150_000),
    inStock: number % 7 !== 0,
  };
}

function pageOf(page: number, products: readonly Product[]): string {
  const next = page < PAGES ? `<a class="next" href="/products?page=${page + 1}">Next</a>` : '';
  return `<!doctype html><title>Page ${page}</title><ul>${products.map(card).join('\n')}</ul><nav>${next}</nav>`;
}

function card({ sku, name, category, cents, inStock }: Product): string {
  const price = cents === null ? 'on request' : `€ ${euros(cents)}`;
  const stock = inStock ? 'in stock' : 'sold out';
  return `<li class="product" data-sku="${sku}"><h2>${name}</h2><i class="category">${category}</i>
    <b class="price">${price}</b> <small class="stock">${stock}</small></li>`;
}

/** As on the continent: 1.299,00. */
function euros(cents: number): string {
  return (cents / 100).toLocaleString('de', { minimumFractionDigits: 2 });
}
