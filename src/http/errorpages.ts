// The pages the server shows to people: behind every `documentation_url` what an error code means and what to do about it (`SAM-50`), and what
// each version of each wire brought (`TASK-107`).

import Type from 'typebox';
import { DomainError } from '../domain/errors.ts';
import type { Call, ErrorPage, Protocol, Reply, Route } from '../protocols/protocol.ts';

const RETRY_WORDS: Readonly<Record<ErrorPage['retry'], string>> = {
  no: 'Sending the same request again gives the same answer.',
  yes: 'Trying again later can help; `retry_after` says when.',
  policy: 'The task’s own retry policy decides; nothing more to do for the caller.',
};

const CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/** A public route that serves a page for every code of every wire, as HTML or, when asked, JSON. */
export function errorPagesRoute(protocols: readonly Protocol[]): Route {
  const pages = new Map(protocols.flatMap(one => Object.entries(one.errorPages ?? {})));
  return {
    method: 'GET',
    path: '/docs/errors/:code',
    summary: 'What an error code means and what to do about it',
    tag: 'documentation',
    access: 'public',
    rate: 'free',
    params: Type.Object({ code: Type.String() }),
    answers: { 200: Type.String({ contentMediaType: 'text/html', description: 'The page.' }) },
    async handle(call: Call<unknown, unknown, { readonly code: string }>): Promise<Reply> {
      const { code } = call.params;
      const page = pages.get(code);
      if (page === undefined) throw new DomainError('not_found', 'there is no such error code');
      if (wantsJson(call))
        return { kind: 'json', status: 200, body: { code, ...page, retry_advice: RETRY_WORDS[page.retry] } };
      return pageOf(code, htmlOf(code, page));
    },
  };
}

/** A public route that serves what each version of each wire brought, and until when it is served, as HTML or, when asked, JSON. */
export function changelogRoute(protocols: readonly Protocol[]): Route {
  const wires = protocols.flatMap(({ name, changelog }) =>
    changelog === undefined ? [] : [{ name, ...changelog }],
  );
  return {
    method: 'GET',
    path: '/docs/changelog',
    summary: 'What each version of each wire brought',
    tag: 'documentation',
    access: 'public',
    rate: 'free',
    answers: { 200: Type.String({ contentMediaType: 'text/html', description: 'The page.' }) },
    async handle(call: Call): Promise<Reply> {
      if (wantsJson(call)) return { kind: 'json', status: 200, body: { protocols: wires } };
      return pageOf('Changelog', ['<h1>Changelog of the wires</h1>', ...wires.map(changesOf)].join('\n'));
    },
  };
}

function changesOf({ title, versions }: NonNullable<Protocol['changelog']>): string {
  const entries = versions.map(({ version, changes, deprecated_at: deprecatedAt, sunset_at: sunsetAt }) => {
    const end = sunsetAt === undefined ? '' : ` It is served until ${escaped(sunsetAt)}.`;
    const old = deprecatedAt === undefined ? '' : ` Deprecated since ${escaped(deprecatedAt)}.${end}`;
    return `<dt>${escaped(title)} ${escaped(version)}</dt><dd>${escaped(changes ?? 'Served.')}${old}</dd>`;
  });
  return `<dl>\n${entries.join('\n')}\n</dl>`;
}

function wantsJson({ headers }: Pick<Call, 'headers'>): boolean {
  return headers.accept?.includes('application/json') === true;
}

function htmlOf(code: string, page: ErrorPage): string {
  const status = page.status === null ? 'none of its own; it is the error of a task' : String(page.status);
  return `<h1><code>${escaped(code)}</code></h1>
<dl>
<dt>What it means</dt><dd>${escaped(page.meaning)}</dd>
<dt>What to do</dt><dd>${escaped(page.remedy)}</dd>
<dt>Trying again</dt><dd>${escaped(RETRY_WORDS[page.retry])}</dd>
<dt>HTTP status</dt><dd>${escaped(status)}</dd>
</dl>`;
}

function pageOf(title: string, body: string): Reply {
  return {
    kind: 'text',
    status: 200,
    contentType: 'text/html; charset=utf-8',
    body: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)} · Batuta</title>
<style>body{font:17px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem}dt{font-weight:600;margin-top:1rem}dd{margin:0}</style>
${body}
</html>
`,
    headers: { 'content-security-policy': CSP, 'cache-control': 'public, max-age=3600' },
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
