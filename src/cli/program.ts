// The command line as a whole: which commands there are, and how a call of them ends.

import { Command } from 'commander';
import { agentsCommand } from './agents.ts';
import { backupCommand } from './backup.ts';
import { canariesCommand } from './canaries.ts';
import { type CommandSpec, register } from './command.ts';
import { completionCommand } from './completion.ts';
import { controlCommands } from './control.ts';
import { copyCommand } from './copy.ts';
import { deliveriesCommand } from './deliveries.ts';
import { demoCommand } from './demo.ts';
import { dlqCommand } from './dlq.ts';
import { doctorCommand } from './doctor.ts';
import { EXIT, failureOf } from './failure.ts';
import type { CliHost } from './host.ts';
import { inboxCommand } from './inbox.ts';
import { keysCommand } from './keys.ts';
import { logsCommand } from './logs.ts';
import { migrateCommand } from './migrate.ts';
import { nodesCommand } from './nodes.ts';
import { Output } from './output.ts';
import { restoreCommand } from './restore.ts';
import { schedulesCommand } from './schedules.ts';
import { sendCommand } from './send.ts';
import { serveCommand } from './serve.ts';
import { statusCommand } from './status.ts';
import { submitCommand } from './submit.ts';
import { tasksCommand } from './tasks.ts';
import { tokenCommand } from './token.ts';
import { traceCommand } from './trace.ts';
import { translateCommand } from './translate.ts';
import { validateCommand } from './validate.ts';
import { watchCommand } from './watch.ts';
import { workflowCommand } from './workflow.ts';

/** The commands this host offers, in the order of help. */
export function commandsOf({ app }: Pick<CliHost, 'app'>): readonly CommandSpec[] {
  const commands: readonly (CommandSpec | null)[] = [
    app.serve === undefined ? null : serveCommand(app.serve),
    app.demo === undefined ? null : demoCommand(app.demo),
    submitCommand,
    statusCommand,
    watchCommand,
    logsCommand,
    ...controlCommands,
    tasksCommand,
    schedulesCommand,
    workflowCommand,
    sendCommand,
    inboxCommand,
    dlqCommand,
    traceCommand,
    app.validateMessage === undefined ? null : validateCommand(app.validateMessage),
    app.translateMessage === undefined ? null : translateCommand(app.translateMessage),
    agentsCommand,
    nodesCommand,
    canariesCommand,
    deliveriesCommand,
    keysCommand,
    tokenCommand,
    app.backup === undefined ? null : backupCommand(app.backup, app.verifyBackup),
    app.restore === undefined ? null : restoreCommand(app.restore),
    app.migrate === undefined ? null : migrateCommand(app.migrate),
    app.copy === undefined ? null : copyCommand(app.copy),
    doctorCommand(app.examine),
  ];
  const offered = commands.filter(command => command !== null);
  return [...offered, completionCommand(() => commandsOf({ app }))];
}

/** Runs one call (without the program's own name) and answers its exit code; never throws. */
export async function runCli(argv: readonly string[], host: CliHost): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command('batuta')
    .description('The durable task backbone for AI agents.')
    .version(host.app.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .exitOverride()
    .configureOutput({
      writeOut: text => void host.stdout.write(text),
      writeErr: text => void host.stderr.write(text),
      // Told once, by tell(), in the form that was asked for.
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(host.columns, 110),
      getErrHelpWidth: () => Math.min(host.columns, 110),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `\nbatuta <command> --help tells more of each. Exit codes: docs/cli.md.`);
  for (const spec of commandsOf(host))
    register(program, spec, host, code => {
      exitCode = code;
    });
  if (argv.length === 0) {
    host.stderr.write(program.helpInformation());
    return EXIT.usage;
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return tell(error, argv, host);
  }
}

function tell(error: unknown, argv: readonly string[], host: CliHost): number {
  if (host.signal.aborted) return EXIT.interrupted;
  const failure = failureOf(error);
  if (isHelp(error)) return EXIT.ok;
  const output = new Output(host, { json: argv.includes('--json'), color: !argv.includes('--no-color') });
  const { exitCode, code, message, hint, lines, requestId } = failure;
  if (output.json) {
    const details = lines.length === 0 ? {} : { faults: lines };
    output.item(
      { error: { code, message, hint, exit_code: exitCode, request_id: requestId, ...details } },
      () => null,
    );
    return exitCode;
  }
  const { paint } = output;
  const told = [
    `${paint.red('error:')} ${message}`,
    ...lines.map(line => `  - ${line}`),
    ...(hint === undefined ? [] : [`${paint.cyan('hint:')} ${hint}`]),
    ...(requestId === undefined ? [] : [paint.dim(`request ${requestId}`)]),
  ];
  host.stderr.write(`${told.join('\n')}\n`);
  return exitCode;
}

/** Commander ends by an exception even where it did what it was asked. */
function isHelp(error: unknown): boolean {
  return error instanceof Error && 'exitCode' in error && error.exitCode === 0;
}
