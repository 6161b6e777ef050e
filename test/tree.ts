// Reads TypeScript as syntax trees, for the tests that judge the code itself: the house on disk, or a synthetic tree of strings
// on which a rule proves that it can fail. Parses only; nothing is resolved or type-checked.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import type { Node, SourceFile } from 'typescript/unstable/ast';
import {
  isExportDeclaration,
  isImportDeclaration,
  isStringLiteral,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { createVirtualFileSystem } from 'typescript/unstable/fs';
import { API } from 'typescript/unstable/sync';

/** The repository's root directory. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Texts by path, relative to the root with forward slashes. */
export type Files = ReadonlyMap<string, string>;

/** Parsed files by path; sorted. */
export type Tree = ReadonlyMap<string, SourceFile>;

const NOT_OURS = new Set(['.git', 'node_modules', 'dist', '.batuta', 'coverage']);
const BINARY = /\.(?:png|jpe?g|gif|ico|webp|pdf|zip|gz|zst|wasm|parquet|woff2?|db|sqlite|cpuprofile)$/;

/** The text files of the repository below the given folders (all of it by default), without what is installed or built. */
export function readFiles(folders: readonly string[] = ['.']): Files {
  const files = new Map<string, string>();
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (NOT_OURS.has(entry.name)) continue;
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile() && !BINARY.test(path)) files.set(path, readFileSync(join(ROOT, path), 'utf8'));
    }
  };
  for (const folder of folders) visit(folder);
  return files;
}

/** The TypeScript files among them, parsed. */
export function parse(files: Files): Tree {
  const paths = [...files.keys()].filter(path => /\.[mc]?tsx?$/.test(path)).sort();
  const compilerOptions = {
    noLib: true,
    noResolve: true,
    types: [],
    jsx: 'preserve',
    moduleDetection: 'force',
  };
  const disk: Record<string, string> = {
    '/tree/tsconfig.json': JSON.stringify({ compilerOptions, files: paths }),
  };
  for (const path of paths) disk[`/tree/${path}`] = files.get(path) ?? '';
  const api = new API({ fs: createVirtualFileSystem(disk), cwd: '/tree' });
  try {
    using snapshot = api.updateSnapshot({ openProjects: ['/tree/tsconfig.json'] });
    const [project] = snapshot.getProjects();
    const tree = new Map<string, SourceFile>();
    for (const path of paths) {
      const file = project?.program.getSourceFile(`/tree/${path}`);
      if (file === undefined) throw new Error(`${path} could not be parsed`);
      tree.set(path, file);
    }
    return tree;
  } finally {
    api.close();
  }
}

/** A synthetic tree, for showing that a rule can fail. */
export function synthetic(texts: Readonly<Record<string, string>>): Tree {
  return parse(new Map(Object.entries(texts)));
}

/** Calls back for every node below the given one, parents first. */
export function walkNodes(node: Node, callback: (node: Node) => void): void {
  node.forEachChild(child => {
    callback(child);
    walkNodes(child, callback);
  });
}

/** `path:line` of a node. */
export function place(path: string, node: Node): string {
  const file = node.getSourceFile();
  return `${path}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`;
}

/** True for a unit test or what only tests load. */
export function isTest(path: string): boolean {
  return /\.test\.tsx?$/.test(path) || path.startsWith('test/');
}

/** One import: of a repository path (`to`), or of a package or built-in module (`specifier` alone). */
export interface Import {
  readonly specifier: string;
  readonly to: string | null;
  readonly typeOnly: boolean;
  readonly at: string;
}

/** Everything a file imports: statically, for re-export, as a type, or by `import()`. */
export function importsOf(path: string, file: SourceFile): readonly Import[] {
  return file.imports.filter(isStringLiteral).map(literal => ({
    specifier: literal.text,
    to: literal.text.startsWith('.') ? join(dirname(path), literal.text) : null,
    typeOnly: isTypeOnly(literal.parent),
    at: place(path, literal),
  }));
}

function isTypeOnly(importer: Node): boolean {
  if (isImportDeclaration(importer)) {
    return importer.importClause?.phaseModifier === SyntaxKind.TypeKeyword;
  }
  if (isExportDeclaration(importer)) return importer.isTypeOnly;
  return importer.kind === SyntaxKind.LiteralType || importer.kind === SyntaxKind.ImportType;
}
