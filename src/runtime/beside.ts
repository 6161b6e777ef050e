// Files that are found by their place, not by an import: what threads and child processes run.

/** A module beside another, as source or as built, whichever the other is. */
export function beside(moduleUrl: string, name: string): URL {
  return new URL(`./${name}.${moduleUrl.endsWith('.ts') ? 'ts' : 'js'}`, moduleUrl);
}
