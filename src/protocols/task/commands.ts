// Commands that wait for the word of whoever holds the task. Keeps who gave which to whom, so that the answer finds its way and nobody
// else can give it, and which are under way about a task, at most one of each kind.

import type { TaskId, TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import {
  changeDocument,
  createDocument,
  type Documents,
  everyDocument,
  oneDocument,
} from '../../guards/documents.ts';

/** A command forwarded to a holder. */
export interface ForwardedCommand {
  readonly id: string;
  readonly tenant: TenantId;
  readonly taskId: TaskId;
  readonly command: 'pause' | 'cancel';
  readonly reason: string | null;
  /** Who gave it, and by which credentials. */
  readonly commander: string;
  readonly actor: string;
  readonly holder: string;
  /** Of the lease under which it is held. */
  readonly token: number;
  readonly correlationId: string;
  readonly traceId: string;
  readonly version: string;
  /** Nobody waits after this instant; null once the holder has answered that it will. */
  readonly dueAt: number | null;
  /** How it ended, and by which message or clock: once said, that stays. */
  readonly end: CommandEnd | null;
}

/** How a forwarded command ended. */
export interface CommandEnd {
  readonly how: 'applied' | 'rejected' | 'silent' | 'superseded';
  readonly by: string;
}

const RECORD = 'task_command';
const UNDER_WAY = 'task_command_under_way';
const KEPT_MS = 48 * 3_600_000;

/** Forwarded commands of all tenants. */
export class Commands {
  readonly #store: Documents;
  readonly #now: () => number;

  constructor(store: Documents, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** The command of that id, whether or not it is still under way. */
  async find(tenant: TenantId, id: string): Promise<ForwardedCommand | null> {
    const found = await oneDocument(this.#store, { tenant, kind: RECORD, id });
    return found === null ? null : (found.body as unknown as ForwardedCommand);
  }

  /** What is under way about a task. */
  async underWay(tenant: TenantId, taskId: TaskId): Promise<readonly ForwardedCommand[]> {
    const found = await oneDocument(this.#store, { tenant, kind: UNDER_WAY, id: taskId });
    return commandsIn(found?.body);
  }

  /** Everything that waited too long, of all tenants. */
  async overdue(): Promise<readonly ForwardedCommand[]> {
    const all = await everyDocument(this.#store, { kind: UNDER_WAY });
    return all
      .flatMap(({ body }) => commandsIn(body))
      .filter(({ dueAt }) => dueAt !== null && dueAt <= this.#now());
  }

  /** Begins one; begun before, it stays as it is. */
  async begin(command: ForwardedCommand): Promise<void> {
    const { tenant, id, taskId } = command;
    const body = command as unknown as JsonObject;
    await createDocument(this.#store, { tenant, kind: RECORD, id }, body, this.#now() + KEPT_MS);
    const ref = { tenant, kind: UNDER_WAY, id: taskId };
    await createDocument(this.#store, ref, { commands: [] });
    await changeDocument(this.#store, ref, known => {
      const others = commandsIn(known).filter(one => one.id !== id);
      return { commands: [...others, command] as unknown as JsonObject[] };
    });
  }

  /** Notes that the holder will obey in its own time. */
  async wait(command: ForwardedCommand): Promise<void> {
    const { tenant, id } = command;
    await changeDocument(this.#store, { tenant, kind: RECORD, id }, known => ({ ...known, dueAt: null }));
    await this.#change(command, others => [...others, { ...command, dueAt: null }]);
  }

  /** Ends one; whoever comes later is told how it ended. */
  async end(command: ForwardedCommand, end: CommandEnd): Promise<CommandEnd> {
    const { tenant, id } = command;
    const body = await changeDocument(this.#store, { tenant, kind: RECORD, id }, known => ({
      ...known,
      end: known.end ?? { ...end },
    }));
    await this.#change(command, others => others);
    return body.end as unknown as CommandEnd;
  }

  async #change(
    { tenant, taskId, id }: ForwardedCommand,
    change: (others: readonly ForwardedCommand[]) => readonly ForwardedCommand[],
  ): Promise<void> {
    const ref = { tenant, kind: UNDER_WAY, id: taskId };
    if ((await oneDocument(this.#store, ref)) === null) return;
    const left = await changeDocument(this.#store, ref, body => {
      const others = commandsIn(body).filter(one => one.id !== id);
      return { commands: change(others) as unknown as JsonObject[] };
    });
    if (commandsIn(left).length > 0) return;
    const empty = await oneDocument(this.#store, ref);
    if (empty !== null && commandsIn(empty.body).length === 0)
      await this.#store.putDocuments([{ ...ref, body: null, expected: empty.version }]);
  }
}

function commandsIn(body: JsonObject | undefined): readonly ForwardedCommand[] {
  return (body?.commands ?? []) as unknown as readonly ForwardedCommand[];
}
