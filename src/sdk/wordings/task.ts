// The task wire as an agent speaks it: flat objects, in which what other wires put into a payload stands beside the type.

import {
  blankLetter,
  faultIn,
  faultOr,
  isoOf,
  type LetterKind,
  namesIn,
  objectIn,
  objectOr,
  plainFault,
  taskOf,
  textIn,
  textOrNull,
  type Wording,
} from '../wording.ts';

const TASK_KINDS: Readonly<Record<string, LetterKind>> = {
  'task.submit': 'task_request',
  'task.control.pause': 'task_control',
  'task.control.resume': 'task_control',
  'task.control.cancel': 'task_control',
  'task.control.ack': 'accepted',
  'task.control.reject': 'error',
  'resource.denied': 'error',
  'protocol.error': 'error',
};

const TASK_ENDS: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled']);

const TASK_ANSWERS: Readonly<Record<string, string>> = {
  'resource.allocate': 'resource.allocated',
  'state.verify': 'state.verified',
};

/** The wire as agents speak it. */
export const task: Wording = {
  name: 'task',
  read(envelope) {
    const type = textIn(envelope.type);
    const id = textIn(envelope.message_id);
    const status = textIn(envelope.status);
    const isOutcome = type === 'task.status' && TASK_ENDS.has(status);
    const kind = type === 'task.status' ? (isOutcome ? 'outcome' : 'progress') : TASK_KINDS[type];
    const { requirements, metadata, ...rest } = envelope;
    return {
      ...blankLetter(envelope, id),
      ...{ kind: kind ?? 'message', type, from: textIn(envelope.from), to: namesIn(envelope.to) },
      correlationId: textIn(envelope.correlation_id, id),
      replyTo: textOrNull(envelope.reply_to) ?? textOrNull(envelope.command_id),
      taskId: textOrNull(envelope.task_id),
      payload: envelope,
      task:
        type === 'task.submit'
          ? taskOf(
              rest,
              { type: 'task_type', input: 'input' },
              { requirements: requirements ?? {}, metadata: metadata ?? {} },
            )
          : null,
      result: isOutcome ? (envelope.result ?? null) : null,
      fault:
        kind === 'error'
          ? faultIn(envelope.error ?? envelope)
          : isOutcome && status !== 'completed'
            ? faultOr(envelope.error, status)
            : null,
    };
  },
  envelope({ type, to, payload }, { id, now, self, answers, correlationId, priority, expiresAt }) {
    const [receiver = ''] = [to].flat();
    return {
      ...objectIn(payload),
      ...{ type, message_id: id, from: self.id, timestamp: isoOf(now), protocol_version: '1.0.0' },
      ...(receiver === '' ? {} : { to: receiver }),
      ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
      ...(answers === undefined ? {} : { reply_to: answers.id }),
      ...(priority === undefined ? {} : { priority }),
      ...(expiresAt === undefined ? {} : { expires_at: isoOf(expiresAt) }),
    };
  },
  request: ({ id, type, description, input, to }) => ({
    ...{ type: 'task.submit', to, taskId: id },
    payload: { task_id: id, task_type: type, input, metadata: { description } },
  }),
  progress: (request, { percentage, note }) => ({
    ...{ type: 'task.status', to: '' },
    payload: {
      ...{ task_id: request.taskId, status: 'running', progress: percentage / 100, metrics: {} },
      ...(note === '' ? {} : { message: note }),
    },
  }),
  completed: (request, result) => ({
    ...{ type: 'task.status', to: '' },
    payload: { task_id: request.taskId, status: 'completed', progress: 1, metrics: {}, result },
  }),
  failed: (request, fault) => ({
    ...{ type: 'task.status', to: '' },
    payload: { task_id: request.taskId, status: 'failed', metrics: {}, error: plainFault(fault) },
  }),
  reply: (letter, payload) => ({
    ...{ type: TASK_ANSWERS[letter.type] ?? 'task.control.ack', to: letter.from },
    payload: {
      ...(letter.type in TASK_ANSWERS ? {} : { command_id: letter.id, status: 'applied' }),
      ...(letter.taskId === null ? {} : { task_id: letter.taskId }),
      ...objectIn(payload),
    },
  }),
  confirm: order => ({
    ...{ type: 'task.control.ack', to: order.from },
    payload: { command_id: order.id, status: 'applied' },
  }),
  event: (topic, data) => ({ type: topic, to: '', payload: objectOr('data', data) }),
  remember: () => null,
  recall: () => null,
};
