// Pipes as people look at them: how much went in, how far each reader is, and who holds up whom.

import type { TaskId, TenantId } from '../domain/ids.ts';
import { fillOf, fits, pipeOutId, slowestOf, type TaskPipes } from '../domain/pipe.ts';
import type { PipeView } from './pipe-calls.ts';
import type { PipeRecords } from './pipe-records.ts';

const NOTHING = { chunks: 0, bytes: 0 };

/** The task's outputs as they stand. */
export async function viewsOf(
  records: Pick<PipeRecords, 'out' | 'ins'>,
  tenant: TenantId,
  id: TaskId,
  outputs: TaskPipes['outputs'],
): Promise<readonly PipeView[]> {
  return await Promise.all(
    Object.entries(outputs).map(async ([output, { mode, readers }]) => {
      const pipe = pipeOutId(id, output);
      const out = (await records.out(tenant, pipe))?.end ?? null;
      const ins = (await records.ins(tenant, pipe, readers)).map(one => one.end);
      const pending = out === null ? NOTHING : fillOf(out, ins);
      // As large as those before.
      const size = out === null || out.written === 0 ? 0 : Math.ceil(out.bytes / out.written);
      const isFull = out?.end === 'open' && !fits(mode, pending, size);
      const to = readers.map((reader, at) => {
        const { by = 'acknowledgement', read = 0, isGone = false } = ins[at] ?? {};
        const behind = out === null ? NOTHING : fillOf(out, ins.slice(at, at + 1));
        return { ...reader, by, acknowledged: read, behind, isGone };
      });
      return {
        ...{ from: { task: id, output }, to, mode, written: out?.written ?? 0, bytes: out?.bytes ?? 0 },
        ...{ acknowledged: slowestOf(ins)?.read ?? 0, pending },
        state: isFull ? 'waiting_downstream' : (out?.end ?? 'open'),
      };
    }),
  );
}
