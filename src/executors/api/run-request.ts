// One request of a task to its end, with all its pages: sends it, judges the answer by what the task expects, takes from it what the task
// wants, and keeps the rest inline or as an artifact (`SAM-160`).

import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { withQuery } from './call.ts';
import { type ContentForm, formOf, mediaTypeOf, readJson, readText } from './content.ts';
import { type Call, type ExchangeParts, exchange, hostOf, quoteOf, type Reply } from './exchange.ts';
import type { Expression, Expressions } from './expressions.ts';
import { fileName, MEDIA_TYPE_UNKNOWN } from './files.ts';
import { Pager, type PageStep, type StopReason } from './pages.ts';
import type { PlannedRequest } from './plan.ts';
import { INLINE_BYTES_MAX, type Spool } from './spool.ts';

/** What a request works with. */
export interface RequestParts extends ExchangeParts {
  readonly context: Pick<AttemptContext, 'saveArtifact'>;
  readonly expressions: Expressions;
  readonly schemas: PayloadCheck;
  /** True where so many bytes may stand in the output yet; they then count. */
  readonly inline: (bytes: number) => boolean;
  /** A page is about to be asked for. */
  readonly turned: (page: number, pagesMax: number) => void;
}

const PAGES_MAX = 100;
const ITEMS_BYTES_MAX = 100 * 1_048_576;
const HEADERS_KEPT = [
  'content-type',
  'content-length',
  'etag',
  'last-modified',
  'location',
  'link',
  'retry-after',
  'x-request-id',
  'x-total-count',
];

/** What the output says of the request; throws what `exchange` throws, and `task_failed` for an answer that is not as expected. */
export async function runRequest(
  planned: PlannedRequest,
  call: Call,
  parts: RequestParts,
): Promise<JsonObject> {
  return planned.spec.pagination === undefined
    ? await runOnce(planned, call, parts)
    : await runPages(planned, planned.spec.pagination, call, parts);
}

async function runOnce(planned: PlannedRequest, call: Call, parts: RequestParts): Promise<JsonObject> {
  parts.turned(1, 1);
  const reply = await exchange(call, parts);
  try {
    const content = contentOf(planned, call, reply);
    const answered = { status: reply.status, headers: reply.headers, body: content.value };
    await judge(planned, call, answered, parts);
    const extracted = await extract(planned, answered, content.form === 'artifact', parts);
    const { value } = content;
    const inline = content.form !== 'artifact' && (value === null || parts.inline(reply.body.size));
    const body = inline
      ? { body: value }
      : { artifact: await keep(planned, reply.body, reply.headers, parts) };
    return { ...headOf(planned, reply), ...body, extracted, attempts: reply.attempts };
  } finally {
    await reply.body.discard();
  }
}

async function runPages(
  planned: PlannedRequest,
  pagination: NonNullable<PlannedRequest['spec']['pagination']>,
  call: Call,
  parts: RequestParts,
): Promise<JsonObject> {
  const {
    max_pages: pagesMax = PAGES_MAX,
    max_items: itemsMax,
    max_bytes: bytesMax = ITEMS_BYTES_MAX,
  } = pagination;
  const gathered = new Gathering(parts.spool(), { itemsMax: itemsMax ?? Number.POSITIVE_INFINITY, bytesMax });
  const pager = new Pager(pagination);
  try {
    let step: PageStep | StopReason = pager.first();
    let page = 0;
    let attempts = 0;
    let last: Reply | null = null;
    while (typeof step !== 'string') {
      if (page === pagesMax) {
        step = 'max_pages';
        break;
      }
      page++;
      parts.turned(page, pagesMax);
      const asked = pageCall(call, step, page);
      const reply = await exchange(asked, parts);
      attempts += reply.attempts;
      last = reply;
      const found = await pageOf(planned, asked, reply, parts);
      if (pager.repeats(found)) step = 'repeated';
      else step = (await gathered.add(found.items)) ?? pager.next(found);
    }
    if (last === null) throw new Error('a list has a first page');
    if (step === 'repeated') parts.log('WARN', 'the list leads in a circle', { request: planned.name, page });
    await gathered.close();
    const items = gathered.items;
    const answered = { status: last.status, headers: last.headers, body: items };
    const extracted = await extract(planned, answered, items === null, parts);
    const headers = { 'content-type': 'application/x-ndjson' };
    const body =
      items !== null && parts.inline(gathered.spool.size)
        ? { body: items }
        : { artifact: await keep(planned, gathered.spool, headers, parts) };
    const counts = { pages: page, items: gathered.count, stopped: step, attempts };
    return { ...headOf(planned, last), ...body, extracted, ...counts };
  } finally {
    await gathered.spool.discard();
  }
}

/** Its items one JSON a line, and as values while they are few. */
class Gathering {
  readonly spool: Spool;
  readonly #limits: { readonly itemsMax: number; readonly bytesMax: number };
  #items: Json[] | null = [];
  #count = 0;

  constructor(spool: Spool, limits: { readonly itemsMax: number; readonly bytesMax: number }) {
    this.spool = spool;
    this.#limits = limits;
  }

  get items(): readonly Json[] | null {
    return this.#items;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a page's; the limit that was reached, or null. */
  async add(items: readonly Json[]): Promise<StopReason | null> {
    const lines: Buffer[] = [];
    let bytes = this.spool.size;
    let stop: StopReason | null = null;
    for (const item of items) {
      const line = Buffer.from(`${JSON.stringify(item)}\n`);
      if (this.#count >= this.#limits.itemsMax) stop = 'max_items';
      else if (bytes + line.length > this.#limits.bytesMax) stop = 'max_bytes';
      if (stop !== null) break;
      lines.push(line);
      bytes += line.length;
      this.#count++;
      this.#items?.push(item);
    }
    await this.spool.add(Buffer.concat(lines));
    if (!this.spool.isHeld) this.#items = null;
    return stop ?? (this.#count >= this.#limits.itemsMax ? 'max_items' : null);
  }

  close(): Promise<void> {
    return this.spool.close();
  }
}

/** A key of its own for each page: one page must not be taken for another's repetition. */
function pageCall(call: Call, step: PageStep, page: number): Call {
  const key = call.headers['idempotency-key'];
  return {
    ...call,
    url: withQuery(step.url ?? call.url, step.query),
    ...(key === undefined || page === 1
      ? {}
      : { headers: { ...call.headers, 'idempotency-key': `${key}-${page}` } }),
  };
}

async function pageOf(planned: PlannedRequest, call: Call, reply: Reply, parts: RequestParts) {
  const { status, headers, url } = reply;
  try {
    const { value } = contentOf(planned, call, reply);
    await judge(planned, call, { status, headers, body: value }, parts);
    const wanted = [planned.items, planned.cursor].filter(one => one !== null);
    const answers = [...(await parts.expressions.evaluate(wanted, { status, headers, body: value }))];
    const items = planned.items === null ? value : answers.shift();
    if (!Array.isArray(items)) {
      throw failure(planned, call, reply, 'pagination.items is not an array in the answer');
    }
    return { url, headers, items: items as readonly Json[], cursor: answers.shift() ?? null };
  } finally {
    await reply.body.discard();
  }
}

interface Content {
  readonly form: ContentForm;
  readonly value: Json;
}

/** What the answer holds; throws `task_failed` for a status that is not expected, or for what is not JSON and has to be. */
function contentOf(planned: PlannedRequest, call: Call, reply: Reply): Content {
  if (!call.expects(reply.status)) throw failure(planned, call, reply, `answered ${reply.status}`);
  const { spec } = planned;
  const type = reply.headers['content-type'];
  const bytes = reply.body.bytes();
  const as = spec.response?.as ?? 'auto';
  const needsJson = as === 'json' || spec.pagination !== undefined || spec.expect?.schema !== undefined;
  if (bytes === null) {
    if (needsJson) throw failure(planned, call, reply, `answered more JSON than ${INLINE_BYTES_MAX} bytes`);
    return { form: 'artifact', value: null };
  }
  if (as === 'artifact') return { form: 'artifact', value: null };
  if (bytes.length === 0) return { form: 'text', value: null };
  const form = needsJson ? 'json' : as === 'auto' ? formOf(type, bytes) : as;
  if (form === 'artifact') return { form, value: null };
  if (form === 'text') return { form, value: readText(bytes, type) };
  try {
    return { form, value: readJson(bytes, type) };
  } catch (error) {
    throw failure(planned, call, reply, (error as Error).message);
  }
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json;
}

async function judge(
  planned: PlannedRequest,
  call: Call,
  answered: Answered,
  parts: RequestParts,
): Promise<void> {
  const { schema } = planned.spec.expect ?? {};
  if (schema !== undefined) {
    await parts.schemas.check(schema, answered.body, 'body').catch((error: DomainError) => {
      throw new DomainError('task_failed', `${planned.name}: ${error.message}`, {
        details: { ...detailsOf(planned, call, answered.status), ...error.details },
        cause: error,
      });
    });
  }
  if (planned.condition === null) return;
  const [held] = await parts.expressions.evaluate([planned.condition], { ...answered });
  if (isTrue(held ?? null)) return;
  throw new DomainError(
    'task_failed',
    `${planned.name}: ${planned.condition.text} is not true of the answer`,
    {
      details: detailsOf(planned, call, answered.status),
    },
  );
}

/** As JMESPath has it: nothing empty is true. */
function isTrue(value: Json): boolean {
  if (value === null || value === false || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

async function extract(
  planned: PlannedRequest,
  answered: Answered,
  isFile: boolean,
  { expressions, inline }: RequestParts,
): Promise<JsonObject> {
  const wanted = planned.extract.map(([, expression]): Expression => expression);
  if (isFile && wanted.some(({ names }) => names.has('body') || names.has('$'))) {
    throw new DomainError(
      'task_failed',
      `${planned.name}: values cannot be taken from a body that becomes a file`,
    );
  }
  const values = await expressions.evaluate(wanted, { ...answered });
  const extracted = Object.fromEntries(planned.extract.map(([name], index) => [name, values[index] ?? null]));
  if (wanted.length > 0 && !inline(JSON.stringify(extracted).length)) {
    throw new DomainError(
      'resource_exhausted',
      `extracted values come to more than ${INLINE_BYTES_MAX} bytes in all`,
    );
  }
  return extracted;
}

async function keep(
  planned: PlannedRequest,
  body: Spool,
  headers: Readonly<Record<string, string>>,
  { context, signal }: RequestParts,
): Promise<JsonObject> {
  signal.throwIfAborted();
  const type = mediaTypeOf(headers['content-type']);
  const mediaType = /^[\w.+-]{1,100}\/[\w.+-]{1,100}$/.test(type) ? type : MEDIA_TYPE_UNKNOWN;
  const name = planned.spec.response?.name ?? fileName(planned.name, mediaType);
  const saved = await context.saveArtifact({
    name,
    type: 'api_response',
    mediaType,
    source: body.source(signal),
  });
  return {
    artifact_id: saved.id,
    name,
    media_type: mediaType,
    size_bytes: saved.sizeBytes,
    sha256: saved.sha256,
  };
}

function headOf({ name, spec }: PlannedRequest, { status, headers }: Reply): JsonObject {
  const wanted = [...HEADERS_KEPT, ...(spec.response?.headers ?? []).map(one => one.toLowerCase())];
  const kept = wanted.flatMap(one => (headers[one] === undefined ? [] : [[one, headers[one]] as const]));
  return { name, status, headers: Object.fromEntries(kept) };
}

function failure(planned: PlannedRequest, call: Call, reply: Reply, what: string): DomainError {
  return new DomainError('task_failed', `${planned.name}: ${hostOf(reply.url)} ${what}`, {
    details: { ...detailsOf(planned, call, reply.status), answer: quoteOf(reply) },
  });
}

function detailsOf(planned: PlannedRequest, call: Call, status: number): JsonObject {
  return { request: planned.name, method: call.method, host: hostOf(call.url), status };
}
