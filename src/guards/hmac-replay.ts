// Remembers signed requests so that none is obeyed twice (`SAM-26`). The store is the memory, so all nodes share it; concurrent
// requests are remembered in one write.

import { hash } from 'node:crypto';
import type { TenantId } from '../domain/ids.ts';
import { Batcher } from '../runtime/batcher.ts';
import type { Documents } from './documents.ts';

/** What must not come twice from one key: a nonce, or where there is none the signature itself. */
export interface Once {
  readonly tenant: TenantId;
  readonly keyId: string;
  readonly nonce: string | null;
  readonly signature: string;
  /** Unix seconds. */
  readonly timestamp: number;
}

const KIND = 'hmac_replay';
// The longest window a tenant may set, whatever it is now: widening it must not revive what was forgotten. Plus a minute for
// clocks that differ.
const KEPT_SECONDS = 960;

/** The requests seen. */
export class ReplayGuard {
  readonly #writer: Batcher<Once, boolean>;

  constructor(store: Pick<Documents, 'putDocuments'>) {
    this.#writer = new Batcher(async seen => {
      const outcomes = await store.putDocuments(
        seen.map(({ tenant, timestamp, ...what }) => ({
          tenant,
          kind: KIND,
          id: nameOf(what),
          body: {},
          expected: 'absent' as const,
          expiresAt: (timestamp + KEPT_SECONDS) * 1_000,
        })),
      );
      return outcomes.map(outcome => outcome.status === 'done');
    });
  }

  /** True the first time, false ever after; on disk before it resolves. */
  claim(once: Once): Promise<boolean> {
    return this.#writer.add(once);
  }
}

function nameOf({ keyId, nonce, signature }: Pick<Once, 'keyId' | 'nonce' | 'signature'>): string {
  const what = nonce === null ? ['signature', signature] : ['nonce', nonce];
  return hash('sha256', JSON.stringify([keyId, ...what]), 'base64url');
}
