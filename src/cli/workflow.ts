// `batuta workflow`: stored definitions, and what belongs to their runs and approvals.

import type { WorkflowView } from '../sdk/workflows.ts';
import type { CommandSpec } from './command.ts';
import { EXIT } from './failure.ts';
import { jsonFrom } from './json-source.ts';
import { table } from './output.ts';
import { approvalCommands } from './workflow-approvals.ts';
import { runCommands, versionedFrom } from './workflow-runs.ts';
import { graphText } from './workflow-text.ts';

const named = { name: '<workflow>', description: 'the workflow' } as const;
const fileNamed = { name: '<file>', description: 'its definition as JSON (- for standard input)' } as const;
const mermaid = { flags: '--mermaid', description: 'print the graph as a Mermaid flowchart' } as const;

const list: CommandSpec = {
  name: 'list',
  isDefault: true,
  summary: 'list stored workflows',
  examples: ['batuta workflow', 'batuta workflow --json'],
  connects: true,
  async run({ client, output }) {
    const workflows = await client.workflows.list({ limit: 1_000 });
    output.answer(workflows, () =>
      workflows.length === 0
        ? 'no workflows'
        : table(
            ['ID', 'VERSION', 'UPDATED', 'DESCRIPTION'],
            workflows.map(one => [one.workflow_id, String(one.version), one.updated_at, one.description]),
            output,
          ),
    );
    return EXIT.ok;
  },
};

const show: CommandSpec = {
  name: 'show',
  summary: 'show the graph of a stored workflow',
  positionals: [{ name: '<workflow>', description: 'the workflow, or workflow@version' }],
  options: [mermaid],
  examples: ['batuta workflow show nightly', 'batuta workflow show nightly@2 --json | jq .definition'],
  connects: true,
  async run({ args: [name = ''], client, flags, output }) {
    const { id, version } = versionedFrom(name);
    const workflow = await client.workflows.get(id, version);
    output.answer(workflow, () =>
      flags.on('mermaid')
        ? (workflow.mermaid ?? '')
        : `${headText(workflow)}\n${graphText(workflow.graph, output)}`,
    );
    return EXIT.ok;
  },
};

const storing: CommandSpec = {
  name: 'register',
  summary: 'store a definition as the newest version; nothing happens where it is that already',
  positionals: [named, fileNamed],
  options: [{ flags: '--description <text>', description: 'what it is for' }],
  examples: ['batuta workflow register nightly nightly.json --description "the nightly import"'],
  connects: true,
  async run({ args: [id = '', file = ''], client, flags, host, output }) {
    const definition = await definitionIn(file, host);
    const description = flags.text('description');
    const stored = await client.workflows.put(
      id,
      definition,
      description === undefined ? {} : { description },
    );
    output.answer(stored, () => `${output.paint.green('stored')} ${id} version ${stored.version}`);
    return EXIT.ok;
  },
};

const validate: CommandSpec = {
  name: 'validate',
  summary: 'say what is wrong with a definition, or show its graph; nothing is stored',
  positionals: [fileNamed],
  options: [mermaid],
  examples: ['batuta workflow validate nightly.json', 'batuta workflow validate nightly.json --mermaid'],
  connects: true,
  async run({ args: [file = ''], client, flags, host, output }) {
    const checked = await client.workflows.put('draft', await definitionIn(file, host), { dryRun: true });
    output.answer(checked, () =>
      flags.on('mermaid')
        ? (checked.mermaid ?? '')
        : `${output.paint.green('valid')}\n${graphText(checked.graph, output)}`,
    );
    return EXIT.ok;
  },
};

const remove: CommandSpec = {
  name: 'delete',
  summary: 'forget a stored workflow; its runs go on',
  positionals: [named],
  examples: ['batuta workflow delete nightly'],
  connects: true,
  async run({ args: [id = ''], client, output }) {
    await client.workflows.remove(id);
    output.answer({ workflow_id: id, deleted: true }, () => `${output.paint.green('deleted')} ${id}`);
    return EXIT.ok;
  },
};

/** Keeps, checks and runs workflows, shows their runs, and decides what they wait for. */
export const workflowCommand: CommandSpec = {
  name: 'workflow',
  summary: 'keep, run and watch graphs of steps',
  examples: [
    'batuta workflow register nightly nightly.json && batuta workflow run nightly --id nightly-1',
    'batuta workflow status nightly-1 --follow',
  ],
  connects: true,
  subcommands: [list, show, storing, validate, remove, ...runCommands, ...approvalCommands],
};

function definitionIn(file: string, host: Parameters<typeof jsonFrom>[2]) {
  return jsonFrom(file === '-' ? '-' : `@${file}`, 'the definition', host);
}

function headText({ workflow_id: id, version, description, updated_at: at }: WorkflowView): string {
  return [id, `version ${version}`, at, description].filter(text => text !== '').join('  ');
}
