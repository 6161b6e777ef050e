// The half of `batuta doctor` that tries what this machine can run: the executors themselves, started as a server would start them,
// and what an operator can do where one is lacking.

import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject } from '../domain/json.ts';
import type { ExecutorStatus } from '../engine/ports/executor.ts';
import { HostBreakers } from '../guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../guards/outbound.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import type { Config } from './config.ts';
import { createExecutors } from './registry.ts';
import { VERSION } from './version.ts';

/** One thing that was looked at; `hint` says what to do about it. */
export interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly detail: string;
  readonly hint?: string;
}

/** What stands in the way of a sandbox on this machine. */
export interface SandboxFacts {
  readonly missing: string;
  readonly isContainer: boolean;
  /** Settings of the kernel by path below /proc/sys; absent where it has none. */
  readonly kernel: Readonly<Record<string, string | undefined>>;
}

const KERNEL_SETTINGS = [
  'kernel/apparmor_restrict_unprivileged_userns',
  'kernel/unprivileged_userns_clone',
  'user/max_user_namespaces',
] as const;

/** What an operator can do to get a sandbox, most likely cause first. */
export function sandboxHint({ missing, isContainer, kernel }: SandboxFacts): string {
  if (/not installed/.test(missing)) return 'install the packages bubblewrap and util-linux';
  if (isContainer)
    return 'a container withholds user namespaces by default: Docker gives them with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined';
  if (kernel['kernel/apparmor_restrict_unprivileged_userns'] === '1')
    return 'AppArmor (Ubuntu 24.04 and later) restricts user namespaces: give bwrap a profile that allows userns, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0';
  if (kernel['kernel/unprivileged_userns_clone'] === '0')
    return 'user namespaces are off: set sysctl kernel.unprivileged_userns_clone=1';
  if (kernel['user/max_user_namespaces'] === '0')
    return 'user namespaces are off: set sysctl user.max_user_namespaces above 0';
  return 'until then Python, shell and native programs are refused; JavaScript runs in WebAssembly';
}

/** Starts the executors as a server would, in a directory of their own: a running server's workspaces are not touched. */
export async function examineTaskTypes(config: Config): Promise<readonly Finding[]> {
  const clock = systemClock;
  const dataDir = await mkdtemp(join(tmpdir(), 'batuta-doctor-'));
  const log = silentLog;
  const outbound = createOutbound({ clock, log, allowed: parsePrivateTargets('') });
  const breakers = new HostBreakers(log, clock, null);
  const adapters = { log, clock, random: systemRandom, outbound, breakers, version: VERSION };
  const executors = createExecutors({ ...adapters, config: { ...config, dataDir, slots: 1 } });
  try {
    await Promise.all(executors.map(executor => executor.start()));
    const statuses = new Map<string, ExecutorStatus>(
      executors.map(executor => [executor.type, executor.status()]),
    );
    const [code, rows] = [statuses.get('code_execution'), statuses.get('data_processing')];
    const content = statuses.get('content_generation');
    const web = statuses.get('web_automation');
    return [
      ...(code === undefined ? [] : [quickjs(code), sandbox(code)]),
      ...(rows === undefined ? [] : [duckdb(rows)]),
      ...(web === undefined ? [] : [browser(web)]),
      ...(content === undefined ? [] : [model(content)]),
    ];
  } catch (error) {
    return [{ name: 'task types', state: 'failed', detail: wordsOf(error), hint: 'reinstall with npm ci' }];
  } finally {
    await Promise.allSettled(executors.map(executor => executor.stop()));
    await outbound.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function quickjs({ isolation, missing = 'it did not start' }: ExecutorStatus): Finding {
  const name = 'quickjs';
  if (isolation.includes('wasm')) return { name, state: 'ok', detail: 'JavaScript runs in WebAssembly' };
  return { name, state: 'failed', detail: firstLine(missing), hint: 'reinstall with npm ci' };
}

function sandbox({ detail }: ExecutorStatus): Finding {
  const name = 'sandbox';
  const { missing, mode, cgroup } = detail.bubblewrap as JsonObject;
  if (typeof missing !== 'string')
    return { name, state: 'ok', detail: `bubblewrap works (${mode}; cgroup ${cgroup})` };
  const kernel = Object.fromEntries(KERNEL_SETTINGS.map(path => [path, kernelSetting(path)]));
  const isContainer = existsSync('/.dockerenv') || existsSync('/run/.containerenv');
  return {
    name,
    state: 'warning',
    detail: firstLine(missing),
    hint: sandboxHint({ missing, isContainer, kernel }),
  };
}

function duckdb({ available, missing = 'it did not start', detail }: ExecutorStatus): Finding {
  const name = 'duckdb';
  if (available) return { name, state: 'ok', detail: `DuckDB ${detail.version} loads` };
  return {
    name,
    state: 'warning',
    detail: missing,
    hint: 'data_processing tasks are refused until it loads',
  };
}

/** That it is there, not whether it starts: that takes a moment, and is found out by the first task. */
function browser({ missing, detail }: ExecutorStatus): Finding {
  const name = 'chromium';
  if (missing === undefined)
    return { name, state: 'ok', detail: `${detail.browser} is here (confined by: ${detail.confinement})` };
  return {
    name,
    state: 'warning',
    detail: missing,
    hint: 'until then web_automation reads static pages only',
  };
}

/** What is set, not whether it answers: a call would cost money. */
function model({ available, missing = 'it did not start', detail }: ExecutorStatus): Finding {
  const name = 'model';
  if (!available) {
    return {
      name,
      state: 'warning',
      detail: missing,
      hint: 'content_generation tasks are refused until then',
    };
  }
  const providers = detail.providers as readonly JsonObject[];
  const words = providers.map(
    one => `${one.name} (${(one.models as readonly string[]).join(', ') || one.image_model})`,
  );
  return { name, state: 'ok', detail: `set up, not tried: ${words.join(', then ')}` };
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

function kernelSetting(path: string): string | undefined {
  try {
    return readFileSync(join('/proc/sys', path), 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** What an error says. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
