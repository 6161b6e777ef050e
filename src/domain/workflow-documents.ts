// Records beside tasks that workflows use, under names both the coordinator and the wires know: stored definitions, approvals that wait for
// somebody, messages that waits are for.

import type { Json, JsonObject } from './json.ts';

/** A stored workflow: its newest version's number. */
export const WORKFLOW_KIND = 'workflow';
/** One version of a stored workflow; never changed, so that a run keeps the one it began with (`SAM-163`). */
export const WORKFLOW_VERSION_KIND = 'workflow_version';
/** Something to be approved (`SAM-210`). */
export const APPROVAL_KIND = 'approval';
/** A message sent to a run. */
export const MESSAGE_KIND = 'workflow_message';

/** The id of one version's document. */
export function versionId(workflow: string, version: number): string {
  return `${workflow}@${version}`;
}

/** The id of an approval's document: the run's task and the step, or the task alone. */
export function approvalId(task: string, step: string): string {
  return `${task}.${step}`;
}

/** The id of a message's document. */
export function messageId(task: string, name: string): string {
  return `${task}@${name}`;
}

/** How an approval stands: `withdrawn` where nobody needs it any more. */
export type ApprovalState = 'waiting' | 'approved' | 'rejected' | 'expired' | 'withdrawn';

/** An approval as it is kept; instants are epoch milliseconds. */
export type Approval = JsonObject & {
  readonly task_id: string;
  readonly step: string;
  readonly title: string;
  readonly message: string;
  readonly state: ApprovalState;
  readonly requested_at: number;
  readonly expires_at: number;
  /** Whose request it is, by credential, agent and user: none of them may decide it. */
  readonly requester: { readonly credential: string; readonly agent: string; readonly user: string };
  /** What is decided: a workflow's step where absent, a task's output before it is released, or content somebody asked about. */
  readonly subject?: 'output' | 'content';
  /** What was made, to be looked at. */
  readonly content?: Json;
  /** What else whoever asked wants to be told of again with the decision. */
  readonly about?: JsonObject;
  /** The agent whose work it is: it may not decide it either. */
  readonly made_by?: string;
  /** Who looks at it, and until when nobody else may decide it. */
  readonly claimed_by?: string;
  readonly claimed_until?: number;
  readonly decided_by?: string;
  readonly decided_at?: number;
  readonly comment?: string;
};
