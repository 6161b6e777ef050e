// How the end of a workflow is told outside of messages (`NOOB-52`): to webhooks as the `workflow.status` they would have been sent, to
// people in words. Of what is sensitive only ids and states are told (`NOOB-33`).

import type { JsonObject } from '../../domain/json.ts';
import type { NotificationRenderer, Words } from '../../engine/ports/channel.ts';
import { wordsOf } from '../../engine/wording.ts';
import type { DueDelivery } from '../../store/rows.ts';
import { languageOf } from './catalogue.ts';
import { codeOf, errorMetadata, errorObject, type Told } from './errors.ts';
import { metadataText } from './metadata.ts';
import { errorOf } from './news.ts';
import { type Request, reply } from './replies.ts';
import { overviewOf, statusOf, timesOf } from './status.ts';
import { requestOfTask } from './task-terms.ts';

/** Words what came by this wire in its own way, all else as before. */
export function createNoobleRenderer(others: NotificationRenderer): NotificationRenderer {
  return {
    ...others,
    render(due, logs) {
      const request = requestOfTask(due.task);
      return request === null ? others.render(due, logs) : statusOfEnd(due, request);
    },
    words(due) {
      const request = requestOfTask(due.task);
      return request === null ? others.words(due) : wordsOfEnd(due, request);
    },
  };
}

function statusOfEnd({ task, event }: DueDelivery, request: Request): JsonObject {
  const failure = failureOf({ task, event });
  const isSensitive = task.spec.sensitive === true;
  const { steps_status: steps, ...overview } = overviewOf(task, event.at);
  const payload = { ...overview, ...(isSensitive ? {} : { steps_status: steps ?? [] }) };
  const language = languageOf(metadataText(request.envelope, 'user_locale'));
  const scene = { service: request.envelope.target_service, origin: '', language };
  const error = failure === null ? null : errorObject(isSensitive ? bare(failure) : failure, scene);
  const { envelope } = reply(request, {
    ...{ as: `notice.${task.executionId}`, action: 'status', status: statusOf(task), payload },
    metadata: {
      ...timesOf(task),
      ...(error === null ? {} : errorMetadata(error, null)),
    },
    ...(error === null ? {} : { error }),
    ...{ replyTo: null, at: event.at, meaning: { act: 'notify', topic: 'workflow.status', data: {} } },
  });
  return envelope ?? {};
}

function wordsOfEnd({ task, event, delivery }: DueDelivery, { envelope }: Request): Words {
  const { workflow_template_id: template, workflow_version: version } = envelope.payload;
  const workflow = metadataText(envelope, 'workflow_id');
  const failure = failureOf({ task, event });
  const { step } = failure?.details ?? {};
  const about = {
    title: `Workflow ${[template, version].filter(one => typeof one === 'string').join(' ')}`,
    facts: [
      ...(workflow === null ? [] : [['Workflow', workflow] as const]),
      ...(typeof step === 'string' ? [['Step', step] as const] : []),
    ],
  };
  const error = failure === null ? undefined : { code: codeOf(failure), message: reasonIn(failure) };
  return wordsOf(task, delivery.event, about, error);
}

function failureOf({ task, event }: Pick<DueDelivery, 'task' | 'event'>): Told | null {
  return event.kind !== 'state' || task.outcome === 'completed' ? null : errorOf(task, event);
}

function reasonIn(failure: Told): string {
  const { details } = errorObject(failure, { service: '', origin: '' });
  return String((details as JsonObject).reason);
}

/** The code alone: what else is said of a failure may quote what was asked. */
function bare({ code, details }: Told): Told {
  const { nooble_code: named, wire_code: wire } = details;
  return {
    ...{ code, message: 'sensitive' },
    details: {
      ...(named === undefined ? {} : { nooble_code: named }),
      ...(wire === undefined ? {} : { wire_code: wire }),
    },
  };
}
