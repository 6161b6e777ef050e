// What the coordinator says in a flow, and which of its sayings an answer is to. Ids are made of the root request, so whatever is said twice
// is one message.

import { hash } from 'node:crypto';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, MessageId } from '../../domain/message.ts';
import { ownAddress, say } from './drafts.ts';
import { type Flow, type FlowStep, resultOf, resultsFor } from './flow.ts';
import { idFrom } from './ids.ts';
import { RULES } from './words.ts';

const ID_MAX = 200;
const SELF_ADDRESS = ownAddress('coordinator');

/** One of the flow's sayings: the request for a step, or one about the result. */
export type Said =
  | { readonly about: 'step'; readonly step: FlowStep }
  | { readonly about: 'validate' | 'review' | 'store' };

/** All that is to be said where the flow stands; most of it was said before. */
export function sayings(flow: Flow, tenant: TenantId): readonly Draft[] {
  const of = { ...flow, tenant };
  switch (flow.phase) {
    case 'working':
      return flow.steps.filter(({ state }) => state === 'asked').map(step => stepRequest(flow, step, of));
    case 'validating':
    case 'reviewing':
      return [validationRequest(flow, of)];
    case 'storing':
      return [storeRequest(flow, of)];
    case 'completed':
    case 'failed':
      return [];
  }
}

/** Which of the flow's current sayings has the id; null where none has. */
export function saidAs(flow: Flow, id: MessageId): Said | null {
  const step = flow.steps.find(one => stepId(flow, one) === id);
  if (step !== undefined) return { about: 'step', step };
  const about = (['validate', 'review', 'store'] as const).find(one => aboutId(flow, one) === id);
  return about === undefined ? null : { about };
}

/** The task a step is, in its current round. */
export function childOf({ root }: Pick<Flow, 'root'>, { id, round }: Pick<FlowStep, 'id' | 'round'>): TaskId {
  const rest = `.${id}${round === 0 ? '' : `.r${round}`}`;
  const room = ID_MAX - rest.length;
  if (root.length <= room) return `${root}${rest}` as TaskId;
  return `${root.slice(0, room - 17)}-${hash('sha256', root, 'hex').slice(0, 16)}${rest}` as TaskId;
}

type Exchange = Parameters<typeof say>[0];

function stepRequest(flow: Flow, step: FlowStep, of: Exchange): Draft {
  const { root, terms, expiresAt } = flow;
  const { context, constraints, expected_output: expected, ...rest } = terms;
  const isLast = !flow.steps.some(({ dependsOn }) => dependsOn.includes(step.id));
  const taskId = childOf(flow, step);
  const results = resultsFor(flow, step);
  return say(of, {
    id: stepId(flow, step),
    type: 'task_request',
    from: SELF_ADDRESS,
    to: [step.role],
    ...{ taskId, expiresAt },
    meaning: {
      act: 'request_task',
      task: {
        ...{ taskId, taskType: step.taskType, description: step.description, input: step.parameters ?? {} },
        terms: {
          ...rest,
          context: {
            ...(isJsonObject(context) ? context : {}),
            ...{ parent_task_id: root, step: step.id },
            ...(Object.keys(results).length === 0 ? {} : { results }),
            ...(step.issues.length === 0 ? {} : { issues: step.issues }),
          },
          ...(isLast && expected !== undefined ? { expected_output: expected } : {}),
          ...(isJsonObject(constraints) ? { constraints: ownConstraints(constraints) } : {}),
        },
        retryCount: step.round,
      },
    },
  });
}

/** Validation and review are the coordinator's. */
function ownConstraints(constraints: JsonObject): JsonObject {
  const { required_validation: _, human_review: __, ...rest } = constraints;
  return rest;
}

function validationRequest(flow: Flow, of: Exchange): Draft {
  const { root, terms, steps, phase } = flow;
  const isReview = phase === 'reviewing';
  const { expected_output: expected, context } = terms;
  const result = resultOf(flow);
  return say(of, {
    id: aboutId(flow, isReview ? 'review' : 'validate'),
    type: 'validation_request',
    from: SELF_ADDRESS,
    to: [isReview ? 'supervisor' : 'validator'],
    taskId: root as TaskId,
    meaning: {
      act: 'ask_validation',
      request: {
        content: contentOf(result),
        validation_rules: [...RULES],
        context: {
          ...{ task_id: root, agent: steps.at(-1)?.role ?? 'specialist' },
          ...(isJsonObject(context) && context.pii_allowed === true ? { pii_allowed: true } : {}),
          ...(expected === undefined ? {} : { expected_output: expected }),
        },
      },
    },
  });
}

function storeRequest(flow: Flow, of: Exchange): Draft {
  const { root, taskType } = flow;
  return say(of, {
    id: aboutId(flow, 'store'),
    type: 'memory_store',
    from: SELF_ADDRESS,
    to: ['memory'],
    taskId: root as TaskId,
    meaning: { act: 'remember', key: `${root}_result`, value: resultOf(flow), ttlMs: null, tags: [taskType] },
  });
}

/** What a result says, without what is said about it. */
function contentOf(result: Json): Json {
  return isJsonObject(result) && result.content !== undefined ? result.content : result;
}

function stepId({ requestId }: Flow, { id, round }: FlowStep): MessageId {
  return idFrom('step', requestId, id, round);
}

function aboutId({ requestId, round }: Flow, about: 'validate' | 'review' | 'store'): MessageId {
  return idFrom(about, requestId, round);
}
