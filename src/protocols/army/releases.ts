// What holds back the result of a task that was asked for without the coordinator: that it may offend, must be valid, or must be seen by a person.
// Whoever coordinates has what it asked for judged itself, but for what offends and for what a person must see (`ARMY-73`, `ARMY-77`, `ARMY-79`).

import { isJsonObject, type Json } from '../../domain/json.ts';
import type { Draft } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { OpenReview, ReleaseTerms } from '../../engine/ports/message-wire.ts';
import { addressOf } from './address.ts';
import { ownAddress, say } from './drafts.ts';
import { idFrom } from './ids.ts';
import type { ArmySettings } from './settings.ts';
import { exchangeOf, isFlow } from './task-news.ts';
import { constraintsIn } from './task-terms.ts';
import { ARMY, PRIORITIES, RULES } from './words.ts';

/** What must hold of a completed task's result before who asked is told; null for tasks of other wires. */
export function releaseTerms(
  task: Task,
  { reviewCritical }: Pick<ArmySettings, 'reviewCritical'>,
): ReleaseTerms | null {
  const { id, spec, agentId } = task;
  const { origin, priority } = spec;
  if (origin?.dialect !== ARMY) return null;
  if (isFlow(task) || origin.from === ownAddress('coordinator'))
    return { refusesOffence: true, validation: null, review: null };
  const { requiredValidation, humanReview } = constraintsIn(origin.terms);
  const isByCoordinator = addressOf(origin.from)?.role === 'coordinator';
  const isCritical = priority === PRIORITIES.critical;
  const { expected_output: expected, context: said } = origin.terms;
  const isOpen = isJsonObject(said) && said.pii_allowed === true;
  const context = { task_id: id, agent: agentId, ...(isOpen ? { pii_allowed: true } : {}) };
  const ordered = {
    ...{ validation_rules: [...RULES], context },
    ...(expected === undefined ? {} : { expected_output: expected }),
  };
  return {
    refusesOffence: true,
    validation: !isByCoordinator && (isCritical || requiredValidation) ? ordered : null,
    review:
      humanReview || (isCritical && reviewCritical)
        ? { title: `The result of ${id}`, message: 'May it be released?' }
        : null,
  };
}

/** What a result says, without what is said about it. */
export function contentOf({ result }: Pick<Task, 'result'>): Json {
  const output = result?.output ?? null;
  return isJsonObject(output) && output.content !== undefined ? output.content : output;
}

/** Asks the supervisor, whose `validation_response` decides like a person's word elsewhere. */
export function reviewAsked({ id, title, message, task }: OpenReview): readonly Draft[] {
  return [
    say(exchangeOf(task, null), {
      ...{ id: idFrom('review', id), type: 'validation_request' },
      ...{ from: ownAddress('coordinator'), to: ['supervisor'], taskId: task.id },
      meaning: {
        act: 'ask_validation',
        request: {
          content: contentOf(task),
          validation_rules: [...RULES],
          context: { task_id: task.id, agent: task.agentId, review: id, title, message },
        },
      },
    }),
  ];
}
