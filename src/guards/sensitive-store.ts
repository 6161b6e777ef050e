// A store in which what is sensitive is sealed: content of tasks, messages and documents that say so is encrypted under their tenant's key before it is
// written, and open again for whoever reads them through here (`NOOB-33`). Events of such tasks are kept without content.

import type { EventBody } from '../domain/event.ts';
import type { TenantId } from '../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import type { Task, TaskError, TaskResult, TaskSpec } from '../domain/task.ts';
import type { DeadLetter, MailStore, NewMail, PostOutcome, StoredMail } from '../store/mail.ts';
import type { NewTask, TaskChange } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Vault } from './vault.ts';

/** What sealed content stands under, alone in an object. */
const SEALED = '$sealed';
const PURPOSE = 'sensitive';
const WITHHELD = 'withheld: the task is sensitive';

type Keys = Pick<Vault, 'seal' | 'open'>;

/** The same store, sealing what is sensitive. */
export function withSensitiveSealed(store: Store, keys: Keys): Store {
  const open = (task: Task): Task => opened(task, keys);
  return {
    ...store,
    mail: sealingMail(store.mail, keys),
    async submit(tasks, options) {
      const outcomes = await store.submit(
        tasks.map(task => sealedTask(task, keys)),
        options,
      );
      return outcomes.map(one => (one.status === 'same' ? { ...one, task: open(one.task) } : one));
    },
    async claim(picks) {
      const claims = await store.claim(picks);
      return claims.map(some => some.map(one => ({ ...one, task: open(one.task) })));
    },
    commit: changes => store.commit(changes.map(change => sealedChange(change, keys))),
    async dueTimers(limit) {
      const { due, ...rest } = await store.dueTimers(limit);
      return { ...rest, due: due.map(one => ({ ...one, task: open(one.task) })) };
    },
    read: async ids => (await store.read(ids)).map(task => (task === null ? null : open(task))),
    async list(query) {
      const page = await store.list(query);
      return { ...page, items: page.items.map(open) };
    },
    async documents(query) {
      const found = await store.documents(query);
      return found.map(one =>
        SEALED in one.body
          ? { ...one, body: unseal(one.body, one.tenant, keys) as JsonObject, isSensitive: true as const }
          : one,
      );
    },
    putDocuments: writes =>
      store.putDocuments(
        writes.map(one =>
          one.isSensitive === true && one.body !== null
            ? { ...one, body: seal(one.body, one.tenant, keys) }
            : one,
        ),
      ),
    async dueDeliveries(limit, leaseMs) {
      const { due, ...rest } = await store.dueDeliveries(limit, leaseMs);
      return { ...rest, due: due.map(one => ({ ...one, task: open(one.task) })) };
    },
  };
}

function sealingMail(mail: MailStore, keys: Keys): MailStore {
  const letterOf = (letter: DeadLetter): DeadLetter =>
    letter.mail === null ? letter : { ...letter, mail: openMail(letter.mail, keys) };
  return {
    post: async letters => (await mail.post(letters.map(one => sealedMail(one, keys)))).map(posted(keys)),
    fanOut: copies => mail.fanOut(copies),
    async take(picks) {
      const taken = await mail.take(picks);
      return taken.map(some => some.map(one => ({ ...one, mail: openMail(one.mail, keys) })));
    },
    async settle(settlements) {
      const outcomes = await mail.settle(
        settlements.map(one =>
          one.mail === undefined ? one : { ...one, mail: one.mail.map(letter => sealedMail(letter, keys)) },
        ),
      );
      return outcomes.map(one =>
        one.status === 'done' ? { ...one, posted: one.posted.map(posted(keys)) } : one,
      );
    },
    release: reader => mail.release(reader),
    sweep: (limit, deliveriesMax) => mail.sweep(limit, deliveriesMax),
    mail: async query => (await mail.mail(query)).map(one => openMail(one, keys)),
    depths: (tenant, inboxes) => mail.depths(tenant, inboxes),
    bury: letters => mail.bury(letters),
    deadLetters: async query => (await mail.deadLetters(query)).map(letterOf),
    deadCounts: tenant => mail.deadCounts(tenant),
    untold: async limit => (await mail.untold(limit)).map(letterOf),
    told: ids => mail.told(ids),
    replay: (tenant, ids) => mail.replay(tenant, ids),
    drop: (tenant, ids) => mail.drop(tenant, ids),
    blank: (tenant, letters) => mail.blank(tenant, letters),
    purge: (terms, limit) => mail.purge(terms, limit),
  };
}

function sealedMail(mail: NewMail, keys: Keys): NewMail {
  return mail.isSensitive === true ? { ...mail, content: seal(mail.content, mail.tenant, keys) } : mail;
}

function openMail(mail: StoredMail, keys: Keys): StoredMail {
  const content = unseal(mail.content, mail.tenant, keys);
  return content === mail.content ? mail : { ...mail, content: content as JsonObject, isSensitive: true };
}

function posted(keys: Keys): (outcome: PostOutcome) => PostOutcome {
  return outcome =>
    outcome.status === 'full' ? outcome : { ...outcome, mail: openMail(outcome.mail, keys) };
}

/** The task with what its requester wrote sealed, in the place of its payload. */
function sealedTask(task: NewTask, keys: Keys): NewTask {
  const { spec, tenant, result } = task;
  if (spec.sensitive !== true) return task;
  const { payload, description, context = null, origin } = spec;
  const { context: _, ...rest } = spec;
  const words = { payload, description, context, input: origin?.input ?? null, terms: origin?.terms ?? {} };
  return {
    ...task,
    events: task.events.map(withoutContent),
    spec: {
      ...rest,
      ...{ description: WITHHELD, payload: seal(words, tenant, keys) },
      ...(origin === undefined ? {} : { origin: { ...origin, input: null, terms: {} } }),
    },
    ...(result === undefined ? {} : { result: sealedResult(result, tenant, keys) }),
  };
}

function sealedChange(change: TaskChange, keys: Keys): TaskChange {
  const { sensitiveOf: tenant, result, checkpoint, progress, ...rest } = change;
  if (tenant === undefined) return change;
  const { currentStep: _, ...far } = progress ?? { percentage: 0 };
  return {
    ...rest,
    events: change.events.map(withoutContent),
    ...(progress === undefined ? {} : { progress: far }),
    ...(result === undefined ? {} : { result: sealedResult(result, tenant, keys) }),
    ...(checkpoint === undefined
      ? {}
      : { checkpoint: checkpoint === null ? null : seal(checkpoint, tenant, keys) }),
  };
}

function sealedResult(result: TaskResult, tenant: TenantId, keys: Keys): TaskResult {
  const { output, error } = result;
  return {
    ...result,
    ...(output === undefined ? {} : { output: seal(output, tenant, keys) }),
    ...(error === undefined
      ? {}
      : { error: { ...withheld(error), details: seal({ ...error } as JsonObject, tenant, keys) } }),
  };
}

/** What happened, without what was said. */
function withoutContent(event: EventBody): EventBody {
  switch (event.kind) {
    case 'progress': {
      const { intermediate: _, ...rest } = event;
      const { currentStep: __, ...progress } = rest.progress;
      return { ...rest, progress };
    }
    case 'state':
      return event.error === undefined ? event : { ...event, error: withheld(event.error) };
    case 'agent_error':
      return { ...event, error: withheld(event.error) };
    case 'note':
    case 'resource_warning':
      return event;
  }
}

function withheld({ code, recoverable, details }: TaskError): TaskError {
  const by = details?.reported_by;
  const step = details?.step;
  return {
    ...{ code, recoverable, message: WITHHELD },
    details: { ...(by === undefined ? {} : { reported_by: by }), ...(step === undefined ? {} : { step }) },
  };
}

function opened(task: Task, keys: Keys): Task {
  if (task.spec.sensitive !== true) return task;
  const { tenant, result, checkpoint } = task;
  return {
    ...task,
    spec: openSpec(task.spec, tenant, keys),
    checkpoint: checkpoint === null ? null : unseal(checkpoint, tenant, keys),
    result: result === null ? null : openResult(result, tenant, keys),
  };
}

function openSpec(spec: TaskSpec, tenant: TenantId, keys: Keys): TaskSpec {
  const words = unseal(spec.payload, tenant, keys);
  if (words === spec.payload || !isJsonObject(words)) return spec;
  const { payload, description, context, input = null, terms } = words;
  const { origin } = spec;
  return {
    ...spec,
    ...{ description: String(description), payload: payload as JsonObject },
    ...(isJsonObject(context) ? { context } : {}),
    ...(origin === undefined ? {} : { origin: { ...origin, input, terms: terms as JsonObject } }),
  };
}

function openResult(result: TaskResult, tenant: TenantId, keys: Keys): TaskResult {
  const { output, error } = result;
  const told = error?.details === undefined ? undefined : unseal(error.details, tenant, keys);
  return {
    ...result,
    ...(output === undefined ? {} : { output: unseal(output, tenant, keys) }),
    ...(error === undefined || told === error.details ? {} : { error: told as unknown as TaskError }),
  };
}

function seal(value: Json, tenant: TenantId, keys: Keys): JsonObject {
  return { [SEALED]: keys.seal(JSON.stringify(value), { tenant, purpose: PURPOSE }) };
}

/** The value as it was before it was sealed; itself where it was not, or not here. */
function unseal(value: Json, tenant: TenantId, keys: Keys): Json {
  if (!isJsonObject(value) || typeof value[SEALED] !== 'string') return value;
  try {
    return JSON.parse(keys.open(value[SEALED], { tenant, purpose: PURPOSE })) as Json;
  } catch {
    return value;
  }
}
