// The part of `batuta workflow` for those who decide: what waits for a word, and the word.

import type { ApprovalState, ApprovalView } from '../sdk/approvals.ts';
import type { CommandSpec } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { type Output, table } from './output.ts';

const STATES: readonly ApprovalState[] = ['waiting', 'approved', 'rejected', 'expired', 'withdrawn'];
const named = [{ name: '<approval>', description: 'its id, as `batuta workflow approvals` shows it' }];
const comment = { flags: '--comment <text>', description: 'what the workflow’s next steps are told' };

const list: CommandSpec = {
  name: 'approvals',
  summary: 'list the steps that wait for somebody’s word',
  options: [{ flags: '--state <state>', description: 'those in this state (waiting)', choices: STATES }],
  examples: ['batuta workflow approvals', 'batuta workflow approvals --state rejected --json'],
  connects: true,
  async run({ client, flags, output }) {
    const state = flags.text('state') as ApprovalState | undefined;
    const approvals = await client.approvals.list({ limit: 1_000, state });
    output.answer(approvals, () =>
      approvals.length === 0 ? `nothing is ${state ?? 'waiting'}` : approvalsText(approvals, output),
    );
    return EXIT.ok;
  },
};

const approve: CommandSpec = {
  name: 'approve',
  summary: 'approve a step, so that its workflow goes on',
  positionals: named,
  options: [comment],
  examples: ['batuta workflow approve deploy-7.go --comment "looks good"'],
  connects: true,
  async run({ args: [id = ''], client, flags, output }) {
    const approval = await client.approvals.approve(id, flags.text('comment'));
    output.answer(approval, () => `${output.paint.green(approval.state)} ${approval.approval_id}`);
    return EXIT.ok;
  },
};

const reject: CommandSpec = {
  name: 'reject',
  summary: 'reject a step and say why; its workflow goes on as for a step that failed',
  positionals: named,
  options: [comment],
  examples: ['batuta workflow reject deploy-7.go --comment "not on a Friday"'],
  connects: true,
  async run({ args: [id = ''], client, flags, output }) {
    const why = flags.text('comment');
    if (why === undefined) throw new UsageError('a rejection needs a --comment that says why');
    const approval = await client.approvals.reject(id, why);
    output.answer(approval, () => `${output.paint.red(approval.state)} ${approval.approval_id}`);
    return EXIT.ok;
  },
};

/** Lists what waits for a decision, and decides it. */
export const approvalCommands: readonly CommandSpec[] = [list, approve, reject];

function approvalsText(
  approvals: readonly ApprovalView[],
  output: Pick<Output, 'paint' | 'isTerminal' | 'columns'>,
): string {
  return table(
    ['ID', 'STATE', 'WORKFLOW', 'STEP', 'UNTIL', 'BY', 'TITLE'],
    approvals.map(one => [
      ...[one.approval_id, one.state, one.task_id, one.step, one.expires_at],
      ...[one.decided_by ?? '', one.title],
    ]),
    output,
  );
}
