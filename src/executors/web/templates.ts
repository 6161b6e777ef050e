// Templates in steps: `{{secrets.NAME}}`, `{{variables.NAME}}` and `{{results.NAME.path}}`, put in as they are. Nothing is evaluated.

import { isJsonObject, type Json } from '../../domain/json.ts';
import { WebError } from './web-error.ts';

const REFERENCE = /\{\{\s*([^{}]*?)\s*\}\}/g;
const ROOTS = ['secrets', 'variables', 'results'] as const;

/** What templates may refer to. */
export interface Scope {
  readonly secrets: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  readonly results: Readonly<Record<string, Json>>;
}

/** One reference: its root, the name below it, and what comes after that. */
export interface Reference {
  readonly text: string;
  readonly root: (typeof ROOTS)[number];
  readonly name: string;
  readonly path: readonly string[];
}

/** The references of a text in order; null in the place of one that means nothing. */
export function referencesIn(text: string): readonly (Reference | null)[] {
  return [...text.matchAll(REFERENCE)].map(([, inner = '']) => reference(inner));
}

/** The text with its references replaced; throws `task_failed` naming one that leads nowhere. */
export function render(text: string, scope: Scope): string {
  return text.replace(REFERENCE, (_whole, inner: string) => {
    const found = reference(inner);
    const value = found === null ? undefined : valueAt(found, scope);
    if (value === undefined || value === null)
      throw new WebError('task_failed', `{{${inner}}} has no value`, { reference: inner });
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

function reference(text: string): Reference | null {
  const [first, name, ...path] = text.split('.');
  const root = ROOTS.find(known => known === first);
  if (root === undefined || name === undefined || name === '' || path.includes('')) return null;
  return { text, root, name, path };
}

function valueAt({ root, name, path }: Reference, scope: Scope): Json | undefined {
  let at: Json | undefined = ownOf(scope[root], name);
  for (const part of path) {
    if (Array.isArray(at)) at = at[Number(part)];
    else at = isJsonObject(at) ? ownOf(at, part) : undefined;
  }
  return at;
}

function ownOf(object: Readonly<Record<string, Json | undefined>>, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
