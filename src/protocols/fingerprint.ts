// The digest by which two requests are the same: SHA-256 over JSON with sorted keys, so neither key order nor spacing counts
// (`SAM-47`).

import { hash } from 'node:crypto';

/** Lower-case hex digest of a JSON value. */
export function fingerprintOf(value: unknown): string {
  return hash('sha256', canonical(value), 'hex');
}

function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const members = value as Readonly<Record<string, unknown>>;
  let text = '{';
  for (const key of Object.keys(members).sort()) text += `${JSON.stringify(key)}:${canonical(members[key])},`;
  return `${text}}`;
}
