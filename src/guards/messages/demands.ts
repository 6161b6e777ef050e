// Which messages a tenant wants signed: by type, or because they are critical. Most tenants demand none.

import { DomainError } from '../../domain/errors.ts';

/** What a tenant demands. */
export interface SignatureDemands {
  /** `<wire>/<type>`, where `*` stands for any: `army/task_request`, `blog/*`, `*`. */
  readonly types: readonly string[];
  /** Every message of the most urgent priority. */
  readonly critical: boolean;
}

/** What a demand goes by. */
export interface MessageKind {
  readonly dialect: string;
  readonly type: string;
  readonly isCritical: boolean;
}

/** What is demanded where nothing is said. */
export const NO_DEMANDS: SignatureDemands = { types: [], critical: false };

const TYPES_MAX = 200;
const TYPE = /^(?:\*|[a-z0-9]{1,30}\/(?:\*|[A-Za-z0-9._:-]{1,200}))$/;

/** Whether a message of the kind must be signed. */
export function isDemanded({ types, critical }: SignatureDemands, kind: MessageKind): boolean {
  if (critical && kind.isCritical) return true;
  return ['*', `${kind.dialect}/*`, `${kind.dialect}/${kind.type}`].some(name => types.includes(name));
}

/** Throws `invalid_request` for demands that could match nothing. */
export function requireSoundDemands({ types }: SignatureDemands): void {
  if (types.length <= TYPES_MAX && types.every(type => TYPE.test(type))) return;
  const field = 'options.signatures.types';
  const message = `must be up to ${TYPES_MAX} of <wire>/<type>, <wire>/* or *`;
  throw new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}
