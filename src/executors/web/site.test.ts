// A site as the web has them: pages with and without scripts, a login, pages that follow one another in several ways, downloads, and
// pages that mean harm. Served on loopback for the tests of this folder.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Page = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

/** What the site saw and where it is. */
export interface Site {
  readonly url: string;
  /** Paths with their queries, in the order they were asked for. */
  readonly seen: string[];
  readonly agents: Set<string | undefined>;
  stop(): Promise<void>;
}

const COUNT_A_PAGE = 4;
const PAGES = 3;

const product = (page: number, at: number): string =>
  `<div class="product"><h2 class="product-title">Lamp ${page}-${at}</h2>
   <span class="price-current">$${(page * 10 + at).toFixed(2)}</span><i class="stock-status">In stock</i></div>`;

const products = (page: number): string =>
  Array.from({ length: COUNT_A_PAGE }, (_, at) => product(page, at + 1)).join('\n');

const html = (response: ServerResponse, body: string): void => {
  response
    .writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
    .end(`<!doctype html><title>t</title>${body}`);
};

const pageOf = (url: URL): number => Number(url.searchParams.get('p') ?? 1);

/** The list comes by a script after a while, as shops do it. */
const shop: Page = (_request, response, url) => {
  const page = pageOf(url);
  const next = page < PAGES ? `<a class="next" href="?p=${page + 1}">next</a>` : '';
  html(
    response,
    `<div class="list"></div><div class="pagination">${next}</div>
     <script>setTimeout(() => { document.querySelector('.list').innerHTML = ${JSON.stringify(products(page))}; }, 80)</script>`,
  );
};

const still: Page = (_request, response, url) => {
  const page = pageOf(url);
  const state = page < PAGES ? '' : 'aria-disabled="true"';
  html(
    response,
    `${products(page)}<ul class="pagination"><li><a class="next" ${state} href="?p=${page + 1}">next</a></li></ul>`,
  );
};

const round: Page = (_request, response, url) => {
  const page = pageOf(url);
  html(
    response,
    `${products(page)}<div class="pagination"><a class="next" href="?p=${(page % 2) + 1}">next</a></div>`,
  );
};

/** One address for all pages: the next one comes by a click. */
const clicked: Page = (_request, response) => {
  const pages = JSON.stringify([1, 2, 3].map(products));
  html(
    response,
    `<div class="list">${products(1)}</div><div class="pagination"><button class="next">next</button></div>
     <script>const pages = ${pages}; let at = 0; const next = document.querySelector('.next');
     next.onclick = () => { document.querySelector('.list').innerHTML = pages[++at]; next.disabled = at === 2; };</script>`,
  );
};

const endlessScroll: Page = (_request, response) =>
  html(
    response,
    `<div class="list"></div><script>let n = 0; const list = document.querySelector('.list');
     const more = () => { for (let i = 0; i < 10 && n < 30; i++) list.insertAdjacentHTML('beforeend', '<p class="row" style="height:200px">' + n++ + '</p>'); };
     more(); addEventListener('scroll', () => setTimeout(more, 20));</script>`,
  );

const login: Page = async (request, response) => {
  if (request.method !== 'POST')
    return html(
      response,
      `<form method="post" action="/login"><input name="user"><input name="password" type="password">
       <select name="lang"><option value="en">en</option><option value="es">es</option></select><button type="submit">in</button></form>`,
    );
  const form = new URLSearchParams((await request.toArray()).join(''));
  const isRight = form.get('user') === 'ana' && form.get('password') === 'open-sesame-42';
  response
    .writeHead(303, {
      location: '/account',
      ...(isRight ? { 'set-cookie': `session=${form.get('lang')}; HttpOnly` } : {}),
    })
    .end();
};

const account: Page = (request, response) => {
  const session = /session=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
  html(
    response,
    session === undefined
      ? '<h1>who?</h1>'
      : `<h1>welcome ana (${session})</h1><p class="echo">open-sesame-42</p>`,
  );
};

const noisy: Page = (_request, response) =>
  html(
    response,
    `<h1>noise</h1><script>for (let i = 0; i < 20; i++) window.open('/still?p=1'); alert('one'); confirm('two'); prompt('three');
     addEventListener('beforeunload', event => event.preventDefault()); document.querySelector('h1').textContent = 'survived';</script>`,
  );

/** Tries every way it knows into this host; what succeeds ends up in the title's place. */
const nosy: Page = (_request, response, url) =>
  html(
    response,
    `<ul></ul><iframe src="http://127.0.0.2:${url.port}/still"></iframe><img src="http://10.0.0.1/x.png">
     <script>const told = text => document.querySelector('ul').insertAdjacentHTML('beforeend', '<li>' + text + '</li>');
     const ways = ['http://127.0.0.2:${url.port}/still', 'http://localhost:${url.port}/still', 'http://169.254.169.254/latest/meta-data/',
       'http://[::1]:${url.port}/still', 'file:///etc/passwd', 'http://10.0.0.1/'];
     Promise.all(ways.map(way => fetch(way, { mode: 'no-cors' }).then(() => told('reached ' + way), () => {})))
       .then(() => navigator.serviceWorker?.register('/worker.js').then(() => {}, () => {}))
       .then(() => told('done'));
     try { const peer = new RTCPeerConnection({ iceServers: [{ urls: 'stun:127.0.0.1:' + location.port }] });
       peer.createDataChannel('x'); peer.onicecandidate = e => { if (e.candidate && / (?:udp|UDP) /.test(e.candidate.candidate)) told('candidate ' + e.candidate.candidate); };
       peer.createOffer().then(offer => peer.setLocalDescription(offer)); } catch {}</script>`,
  );

const ENDLESS_MS = 20;

const endless: Page = (_request, response) => {
  response.writeHead(200, { 'content-type': 'text/html' });
  const write = (): void => {
    if (response.destroyed) return;
    response.write('<p>and on</p>');
    setTimeout(write, ENDLESS_MS);
  };
  write();
};

const huge: Page = (_request, response) =>
  html(response, `<h1>big</h1>${`<!-- ${'lorem ipsum '.repeat(9_000)} -->`.repeat(82)}`);

const PAGES_BY_PATH: Readonly<Record<string, Page>> = {
  '/robots.txt': (_request, response) =>
    void response.writeHead(200, { 'content-type': 'text/plain' }).end('User-agent: *\nDisallow: /secret\n'),
  '/shop': shop,
  '/still': still,
  '/round': round,
  '/clicked': clicked,
  '/scroll': endlessScroll,
  '/login': login,
  '/account': account,
  '/noisy': noisy,
  '/nosy': nosy,
  '/endless': endless,
  '/huge': huge,
  '/secret': (_request, response) => html(response, '<h1>secret</h1>'),
  '/broken': (_request, response) =>
    void response.writeHead(500, { 'content-type': 'text/html' }).end('<h1>oh</h1>'),
  '/gone': (_request, response) =>
    void response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>no</h1>'),
  '/private': (_request, response) =>
    void response.writeHead(302, { location: 'http://10.1.2.3/admin' }).end(),
  '/moved': (_request, response) => void response.writeHead(302, { location: '/still?p=3' }).end(),
  '/file': (_request, response) =>
    void response
      .writeHead(200, {
        'content-type': 'text/csv',
        'content-disposition': 'attachment; filename="report 1.csv"',
      })
      .end('a,b\n1,2\n'),
  '/files': (_request, response) => html(response, '<a class="get" href="/file">get</a>'),
  '/hog': (_request, response) =>
    html(
      response,
      `<script>const held = []; setInterval(() => { const block = new Uint8Array(16 << 20); crypto.getRandomValues(block.subarray(0, 65536));
       for (let at = 0; at < block.length; at += 4096) block[at] = at; held.push(block); }, 120)</script>`,
    ),
  '/workers': (_request, response) =>
    html(
      response,
      `<script>const code = URL.createObjectURL(new Blob(['setInterval(() => {}, 1e6)'])); const held = [];
       setInterval(() => { for (let i = 0; i < 50; i++) held.push(new Worker(code)); }, 50)</script>`,
    ),
  '/spin': (_request, response) =>
    html(response, '<h1>spin</h1><script>onload = () => { for (;;); }</script>'),
  '/late': (_request, response) => html(response, '<h1>late</h1>'),
};

/** Starts the site. */
export async function startSite(): Promise<Site> {
  const seen: string[] = [];
  const agents = new Set<string | undefined>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    seen.push(`${url.pathname}${url.search}`);
    agents.add(request.headers['user-agent']);
    const page = PAGES_BY_PATH[url.pathname];
    if (page === undefined) response.writeHead(404).end();
    else void page(request, response, url);
  });
  server.listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    agents,
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
