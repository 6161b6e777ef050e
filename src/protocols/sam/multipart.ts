// Reads the one file of a `multipart/form-data` body as a stream, never whole in memory; fields before it are kept, what follows it
// is read and dropped (`SAM-72`).

import { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';

/** The file of a form, and what was said before it. */
export interface FormFile {
  readonly name: string | undefined;
  readonly mediaType: string | undefined;
  readonly fields: Readonly<Record<string, string>>;
  readonly stream: Readable;
}

const HEAD_BYTES_MAX = 16_384;
const FIELD_BYTES_MAX = 65_536;
const FIELDS_MAX = 50;

/** The boundary a content type names, or null where it is no form. */
export function boundaryOf(contentType: string | undefined): string | null {
  if (contentType === undefined || !/^multipart\/form-data\b/i.test(contentType)) return null;
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]{1,70})"|([^;\s]{1,70}))/i.exec(contentType) ?? [];
  return quoted ?? plain ?? null;
}

/** The first file of the form; throws `unserializable` where there is none or the form is malformed. */
export async function formFile(body: Readable, boundary: string): Promise<FormFile> {
  const source = new Source(body, `\r\n--${boundary}`);
  await source.begin();
  const fields: Record<string, string> = {};
  for (let count = 0; count < FIELDS_MAX; count += 1) {
    const head = await source.head();
    if (head === null) throw malformed('the form has no file');
    const { name, filename } = dispositionOf(head);
    if (filename !== undefined) {
      const mediaType = /^content-type:\s*(.+)$/im.exec(head)?.[1]?.trim();
      return {
        name: filename === '' ? undefined : filename,
        mediaType,
        fields,
        stream: Readable.from(source.part(true)),
      };
    }
    const value = await gathered(source.part(false));
    if (name !== undefined) fields[name] = value;
  }
  throw malformed('the form has too many fields');
}

async function gathered(part: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of part) {
    bytes += chunk.length;
    if (bytes > FIELD_BYTES_MAX) throw malformed('a field of the form is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function dispositionOf(head: string): { readonly name?: string; readonly filename?: string } {
  const line = /^content-disposition:\s*form-data\b(.*)$/im.exec(head)?.[1] ?? '';
  const name = /;\s*name="([^"]*)"/i.exec(line)?.[1];
  const filename = /;\s*filename="([^"]*)"/i.exec(line)?.[1];
  return { ...(name === undefined ? {} : { name }), ...(filename === undefined ? {} : { filename }) };
}

function malformed(message: string): DomainError {
  return new DomainError('unserializable', message);
}

/** The body as parts; holds no more than one chunk and the length of a delimiter. */
class Source {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #delimiter: Buffer;
  // The first delimiter has no line break before it; given one, all are alike.
  #buffer: Buffer = Buffer.from('\r\n');

  constructor(body: Readable, delimiter: string) {
    this.#chunks = body[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#delimiter = Buffer.from(delimiter);
  }

  /** Skips to the first part. */
  async begin(): Promise<void> {
    for await (const _ of this.part(false));
  }

  /** The headers of the part that begins here, or null where the form ends. */
  async head(): Promise<string | null> {
    while (this.#buffer.length < 2) await this.#mustFill();
    if (this.#buffer.subarray(0, 2).toString('latin1') === '--') return null;
    let end = this.#buffer.indexOf('\r\n\r\n');
    while (end === -1) {
      if (this.#buffer.length > HEAD_BYTES_MAX) throw malformed('the head of a part is too long');
      await this.#mustFill();
      end = this.#buffer.indexOf('\r\n\r\n');
    }
    const head = this.#buffer.subarray(0, end).toString('utf8');
    this.#buffer = this.#buffer.subarray(end + 4);
    return head;
  }

  /** The bytes up to the next delimiter, which is consumed; `drain` then reads the rest of the body away. */
  async *part(drain: boolean): AsyncGenerator<Buffer> {
    for (;;) {
      const at = this.#buffer.indexOf(this.#delimiter);
      if (at !== -1) {
        if (at > 0) yield this.#buffer.subarray(0, at);
        this.#buffer = this.#buffer.subarray(at + this.#delimiter.length);
        break;
      }
      const safe = this.#buffer.length - this.#delimiter.length + 1;
      if (safe > 0) {
        yield this.#buffer.subarray(0, safe);
        this.#buffer = this.#buffer.subarray(safe);
      }
      await this.#mustFill();
    }
    if (drain) while (!(await this.#chunks.next()).done);
  }

  async #mustFill(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw malformed('the form breaks off');
    this.#buffer = this.#buffer.length === 0 ? value : Buffer.concat([this.#buffer, value]);
  }
}
