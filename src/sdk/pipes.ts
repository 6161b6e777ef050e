// The ends of pipes as the server has them: chunks by number, for whoever shows the lease of the step (`SAM-229`). What a step makes of them
// is step-pipes.ts's.

import type { Json } from '../domain/json.ts';
import type { ReadBy } from '../domain/pipe.ts';
import { ConnectionError } from './errors.ts';
import { hex } from './signing.ts';
import type { Transport } from './transport.ts';

/** A lease that is held, and the signal that ends with it. */
export interface HeldEnd {
  readonly task_id: string;
  readonly fencing_token: number;
  readonly name: string;
  readonly signal?: AbortSignal;
}

/** How far an end got, and what was left there. */
export interface PipePosition {
  /** The last chunk written, or dealt with; 0 for none. */
  readonly number: number;
  readonly state: Json;
}

/** What became of a chunk: `unwanted` where nobody reads any more. */
export type WriteOutcome = 'kept' | 'unwanted' | 'waiting_downstream';

/** How long the server is asked to wait at a time, in seconds. */
const WAIT_S = 25;
const ANSWER_MS = 15_000;

/** Both ends of pipes. */
export class Pipes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Takes an input over from earlier attempts; by checkpoint it stands where the checkpoint says. */
  async openInput(end: HeldEnd, by?: ReadBy): Promise<PipePosition> {
    const { acknowledged, state } = await this.#post<{ acknowledged: number; state: Json }>(
      end,
      'inputs',
      'open',
      { by },
    );
    return { number: acknowledged, state };
  }

  /** A chunk; `open` where it did not come in time, `ended` where it will not. */
  async read(end: HeldEnd, number: number): Promise<Uint8Array | 'open' | 'ended'> {
    const response = await this.#transport.open({
      method: 'GET',
      path: `/api/v2/work/inputs/${end.name}/chunks/${number}`,
      query: { ...leaseOf(end), wait_seconds: WAIT_S },
      timeoutMs: WAIT_S * 1_000 + ANSWER_MS,
      headers: { 'accept-encoding': 'identity' },
      signal: end.signal,
    });
    if (response.status === 204) return response.headers.get('x-pipe') === 'ended' ? 'ended' : 'open';
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      end.signal?.throwIfAborted();
      const message = `chunk ${number} broke off`;
      throw new ConnectionError({ code: 'CONNECTION_FAILED', message, status: 0, cause });
    }
  }

  /** Chunks up to this number were dealt with, and will not be kept. */
  async acknowledge(end: HeldEnd, upTo: number, state?: Json): Promise<void> {
    await this.#post(end, 'inputs', 'acknowledge', { up_to: upTo, state });
  }

  /** Takes an output over from earlier attempts. */
  async openOutput(end: HeldEnd): Promise<PipePosition> {
    const { written, state } = await this.#post<{ written: number; state: Json }>(end, 'outputs', 'open');
    return { number: written, state };
  }

  /** Writes the next chunk with its state, both or neither. */
  async write(
    end: HeldEnd,
    chunk: { readonly number: number; readonly bytes: Uint8Array; readonly state?: Json | undefined },
  ): Promise<WriteOutcome> {
    const { number, bytes, state } = chunk;
    const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
    const { outcome } = await this.#transport.json<{ readonly outcome: WriteOutcome }>({
      method: 'PUT',
      path: `/api/v2/work/outputs/${end.name}/chunks/${number}`,
      query: { ...leaseOf(end), wait_seconds: WAIT_S },
      body: { source: bytes, mediaType: 'application/octet-stream' },
      headers: {
        'x-checksum-sha256': hex(new Uint8Array(digest)),
        ...(state === undefined ? {} : { 'x-pipe-state': packed(state) }),
      },
      timeoutMs: WAIT_S * 1_000 + ANSWER_MS,
      signal: end.signal,
    });
    return outcome;
  }

  /** Nothing more will be written. */
  async end(end: HeldEnd): Promise<void> {
    await this.#post(end, 'outputs', 'end');
  }

  #post<Answer>(end: HeldEnd, side: 'inputs' | 'outputs', verb: string, more: object = {}): Promise<Answer> {
    return this.#transport.json({
      method: 'POST',
      path: `/api/v2/work/${side}/${end.name}/${verb}`,
      json: { ...leaseOf(end), ...more },
      signal: end.signal,
    });
  }
}

function leaseOf({ task_id, fencing_token }: HeldEnd) {
  return { task_id, fencing_token };
}

/** As a header can carry it: base64url of its JSON. */
function packed(state: Json): string {
  const binary = Array.from(new TextEncoder().encode(JSON.stringify(state)), byte =>
    String.fromCharCode(byte),
  );
  return btoa(binary.join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
