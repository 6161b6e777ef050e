// `batuta doctor`: looks at this machine, the settings and the server, and says what is wrong and what to do about it.

import type { JsonObject } from '../domain/json.ts';
import type { CommandCall, CommandSpec, Flags } from './command.ts';
import { findConnection } from './connection.ts';
import { EXIT, failureOf } from './failure.ts';
import type { AppActions, Finding, ServeFlags } from './host.ts';
import type { Paint } from './output.ts';

/** The command, made from what looks at this machine. */
export function doctorCommand(examine: AppActions['examine']): CommandSpec {
  return {
    name: 'doctor',
    summary: 'find out what is wrong, and what to do about it',
    options: [
      {
        flags: '--database-url <url>',
        description: 'PostgreSQL in place of the embedded file (BATUTA_DATABASE_URL)',
      },
    ],
    examples: ['batuta doctor', 'batuta doctor --json'],
    connects: true,
    async run(call) {
      const local = examine === undefined ? [] : await examine(installationOf(call.flags));
      const findings = [...local, ...(await examineServer(call))];
      call.output.answer({ findings }, () =>
        findings.map(finding => findingText(finding, call.output.paint)).join('\n'),
      );
      return findings.some(({ state }) => state === 'failed') ? EXIT.failed : EXIT.ok;
    },
  };
}

function installationOf(flags: Flags): ServeFlags {
  const dataDir = flags.text('dataDir');
  const databaseUrl = flags.text('databaseUrl');
  return {
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
  };
}

/** What can be learned of the server: whether it answers, how it is, what it lacks, and whether it lets us in. */
async function examineServer({ client, host, flags }: CommandCall): Promise<readonly Finding[]> {
  const given = Object.fromEntries(
    ['url', 'apiKey', 'apiSecret', 'token', 'dataDir']
      .map(name => [name, flags.text(name)] as const)
      .filter(([, value]) => value !== undefined),
  );
  const { url, source } = findConnection(given, host.environment);
  let health: Awaited<ReturnType<typeof client.health>>;
  try {
    health = await client.health({ signal: host.signal });
  } catch (error) {
    const { message, hint } = failureOf(error);
    return [{ name: 'server', state: 'failed', detail: message, ...(hint === undefined ? {} : { hint }) }];
  }
  const state = health.status === 'healthy' ? 'ok' : health.status === 'degraded' ? 'warning' : 'failed';
  const server: Finding = {
    name: 'server',
    state,
    detail: `${url} is ${health.status}, version ${health.version}`,
  };
  return [server, ...partsOf(health.dependencies ?? {}), ...typesOf(health.detail), await entrance()];

  async function entrance(): Promise<Finding> {
    try {
      await client.statuses({ limit: 1 });
      return { name: 'credentials', state: 'ok', detail: `those from ${source} are accepted` };
    } catch (error) {
      const { message, hint } = failureOf(error);
      const detail =
        source === 'nowhere' ? 'none were found' : `those from ${source} are refused: ${message}`;
      return { name: 'credentials', state: 'failed', detail, ...(hint === undefined ? {} : { hint }) };
    }
  }
}

function partsOf(dependencies: JsonObject): readonly Finding[] {
  return Object.entries(dependencies)
    .filter(([, wellness]) => wellness !== 'healthy')
    .map(([name, wellness]) => ({
      name: name.replaceAll('_', ' '),
      state: wellness === 'degraded' ? ('warning' as const) : ('failed' as const),
      detail: String(wellness),
    }));
}

/** Task types the server cannot run, and what they miss. */
function typesOf(detail: unknown): readonly Finding[] {
  const types =
    (detail as { readonly task_types?: Readonly<Record<string, unknown>> } | undefined)?.task_types ?? {};
  return Object.entries(types).map(([name, value]) => {
    const { available, missing } = value as { readonly available?: boolean; readonly missing?: string };
    if (available === true && missing === undefined) return { name, state: 'ok', detail: 'can run' };
    return {
      name,
      state: 'warning',
      detail: available === true ? 'can run in part' : 'cannot run',
      ...(missing === undefined ? {} : { hint: missing }),
    };
  });
}

function findingText({ name, state, detail, hint }: Finding, paint: Paint): string {
  const mark = { ok: paint.green('✓'), warning: paint.yellow('!'), failed: paint.red('✗') }[state];
  return `${mark} ${paint.bold(name)}  ${detail}${hint === undefined ? '' : `\n    ${paint.cyan(hint)}`}`;
}
