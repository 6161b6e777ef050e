// Where agents elsewhere say how what they were asked for ended, and that they got it: their answers are judged as those of this server are
// (`BLOG-33`, `BLOG-40`), their receipts acknowledge (`BLOG-12`).

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { inboxOfAgent, inboxOfDesk, type Message } from '../../domain/message.ts';
import type { SkillStage } from '../../domain/skill.ts';
import type { Contents } from '../../engine/contents.ts';
import type { TaskDesk } from '../../engine/mailroom/task-desk.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { Condition, Conditions } from '../../guards/conditions.ts';
import type { DialectHands } from '../dialect/hands.ts';

/** Where agents' words on how their tasks ended are taken. */
export const REPORTS = inboxOfDesk('blog:reports');

/** Where agents' own words of receipt are taken for acknowledgements. */
export const ACKS = inboxOfDesk('blog:acks');

/** The desk that takes reports: the answer is judged and told of the task. */
export function createReportsDesk(
  { mailroom, clock }: Pick<DialectHands, 'mailroom' | 'clock'>,
  conditions: Conditions,
  contents: Contents,
): Participant {
  return {
    name: 'blog reports',
    inboxes: [REPORTS],
    async handle(message) {
      const { meaning, tenant } = message;
      if (meaning.act !== 'report_outcome') return [];
      const { desk } = mailroom();
      const { origin } = (await desk.task(tenant, meaning.taskId)).spec;
      const execution = origin?.terms.execution;
      const verdict = origin?.taskType === 'reviewer' ? verdictIn(origin.input, meaning.result) : null;
      if (verdict !== null)
        await contents.noteVerdict(tenant, verdict.contentId, verdict.content, {
          approved: verdict.approved,
          at: clock.now(),
        });
      const judged = meaning.status === 'completed' && isJsonObject(execution) ? execution : null;
      if (judged !== null) await tellStage(desk, message, meaning.taskId);
      const refusal =
        judged === null ? null : postconditionFailed(conditions, tenant, judged, meaning.result);
      await desk.outcome(
        message,
        refusal === null
          ? meaning
          : {
              ...{ ...meaning, status: 'failed' },
              error: {
                code: refusal.code,
                message: refusal.message,
                recoverable: false,
                details: refusal.details,
              },
            },
      );
      return [];
    },
  };
}

/** What an agent elsewhere answered is about to be judged, which is an event as it is of skills that run here (`BLOG-35`). */
async function tellStage(desk: TaskDesk, message: Message, taskId: TaskId): Promise<void> {
  const stage: SkillStage = 'validating_result';
  await desk.progress(
    message,
    {
      ...{ act: 'report_progress', taskId, status: 'running', percentage: null, note: stage },
      ...{ metrics: {}, checkpoint: null },
    },
    [{ kind: 'note', name: 'skill.stage', detail: { stage } }],
  );
}

/** What a remote reviewer found of the very content it was asked about; null where it gave no verdict on it. */
function verdictIn(asked: Json, told: Json) {
  if (!isJsonObject(asked) || !isJsonObject(told) || !isJsonObject(told.result)) return null;
  const { contentId, content } = asked;
  const { approved } = told.result;
  if (typeof contentId !== 'string' || told.contentId !== contentId || typeof approved !== 'boolean')
    return null;
  return { contentId, content, approved };
}

/** The desk that takes receipts: whoever had a delivery has acknowledged it. */
export function createAcksDesk({ mailroom }: Pick<DialectHands, 'mailroom'>): Participant {
  return {
    name: 'blog acknowledgements',
    inboxes: [ACKS],
    async handle({ tenant, replyTo, from }) {
      if (replyTo === null) return [];
      await mailroom().acknowledge(tenant, { dialect: 'blog', messageId: replyTo }, inboxOfAgent(from));
      return [];
    },
  };
}

function postconditionFailed(
  conditions: Conditions,
  tenant: string,
  execution: JsonObject,
  result: Json,
): DomainError | null {
  const { input = null, context, postconditions } = execution;
  const scene = { tenant, input, context: isJsonObject(context) ? context : {}, result, isResultValid: true };
  try {
    conditions.require((postconditions ?? []) as unknown as readonly Condition[], 'after', scene);
    return null;
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}
