// Which of a task's dependencies the runtime offers (SAM-35): nothing beyond the language for JavaScript; for Python what an import
// finds inside the sandbox; for shell the commands found there.

import type { Random } from '../../runtime/random.ts';
import type { Place } from './offers.ts';
import type { Language } from './payload.ts';
import { tryScript } from './sandbox/trial.ts';

/** A name, perhaps with the one version that will do; other constraints would need a resolver, and are not offered. */
const DEPENDENCY = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:==[A-Za-z0-9.+!_-]{1,50})?$/;

/** Names are the callers': what is known of them is forgotten before it fills the memory. */
const KNOWN_MAX = 10_000;

const PYTHON = `
import importlib, importlib.metadata, sys
for wanted in sys.argv[1:]:
    name, _, version = wanted.partition('==')
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None and not version:
        try:
            importlib.import_module(name.replace('-', '_'))
            found = 'a module'
        except Exception:
            pass
    if found is not None and version in ('', found):
        print(wanted)
`;

const SHELL = 'for wanted in "$@"; do command -v "$wanted" >/dev/null && echo "$wanted"; done; true';

/** Looks dependencies up, each once. */
export class Dependencies {
  readonly #parts: { readonly random: Random; readonly workRoot: string };
  readonly #known = new Map<string, boolean>();

  constructor(parts: { readonly random: Random; readonly workRoot: string }) {
    this.#parts = parts;
  }

  /** Those of the dependencies that programs of this language do not find. */
  async missing(
    language: Language,
    dependencies: readonly string[],
    where: Place | null,
  ): Promise<readonly string[]> {
    const interpreter =
      language === 'python' || language === 'shell' ? where?.interpreters[language] : undefined;
    if (where === null || interpreter === undefined) return dependencies;
    const keyOf = (dependency: string): string => `${where.tier.level} ${language} ${dependency}`;
    const plain = dependencies.filter(dependency => DEPENDENCY.test(dependency));
    const unknown = plain.filter(dependency => !this.#known.has(keyOf(dependency)));
    if (unknown.length > 0) {
      if (this.#known.size > KNOWN_MAX) this.#known.clear();
      const script = language === 'python' ? PYTHON : SHELL;
      const { stdout } = await tryScript(where.tier, script, { interpreter, args: unknown }, this.#parts);
      const found = new Set(stdout.split('\n'));
      for (const dependency of unknown) this.#known.set(keyOf(dependency), found.has(dependency));
    }
    return dependencies.filter(dependency => this.#known.get(keyOf(dependency)) !== true);
  }
}
