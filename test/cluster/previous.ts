// The version before this one, out of the history: what nodes run that are not updated yet. Nothing is built, for programs run from
// their sources; `previous-release.json` says which commit it is.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { absent } from '../absent.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const { commit } = JSON.parse(readFileSync(new URL('./previous-release.json', import.meta.url), 'utf8')) as {
  readonly commit: string;
};

/** The version before, as files on disk. */
export interface Previous {
  /** What its nodes run. */
  readonly main: string;
  remove(): void;
}

/** Why the version before is not to be had here, or false. */
export const previousMissing: string | false = whyMissing();

/** Unpacks the version before, with this one's packages where they are what it asks for, else with its own from the registry. */
export function unpackPrevious(): Previous {
  const folder = mkdtempSync(join(tmpdir(), 'batuta-previous-'));
  const archive = execFileSync('git', ['archive', commit], { cwd: ROOT, maxBuffer: 1 << 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  if (sharesPackages(folder)) symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  else
    execFileSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' });
  return {
    main: join(folder, 'src/cli/main.ts'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function whyMissing(): string | false {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  if (git('cat-file', '-e', `${commit}^{commit}`).status === 0) return false;
  const { status, stdout } = git('rev-parse', '--is-shallow-repository');
  if (status !== 0) return absent('the version before cannot be had: this is no clone of the repository');
  const why =
    stdout.trim() === 'true' ? 'the history is shallow: git fetch --unshallow' : 'the history lacks it';
  return absent(`the version before, ${commit.slice(0, 12)}, cannot be had: ${why}`);
}

function sharesPackages(folder: string): boolean {
  const [theirs, ours] = [folder, ROOT].map(
    root =>
      (
        JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
          dependencies: Record<string, string>;
        }
      ).dependencies,
  );
  if (theirs === undefined || ours === undefined || !existsSync(join(ROOT, 'node_modules'))) return false;
  return Object.entries(theirs).every(([name, wanted]) => ours[name] === wanted);
}
