// JavaScript under bubblewrap: the very same QuickJS host process, in a sandbox of its own instead of the pool.

import type { CodeLimits } from './limits.ts';
import { type AttemptMark, READS_ROOT, type Tier } from './sandbox/confinement.ts';
import { clearLayout, layOut } from './sandbox/layout.ts';
import { WasmChild } from './wasm/child.ts';
import { hostCommand } from './wasm/launch.ts';

/** Gives `use` a host process that was started inside the sandbox for it alone; nothing of it is left afterwards. */
export async function withWrappedChild<Value>(
  tier: Tier,
  wanted: { readonly workspace: string; readonly limits: CodeLimits; readonly mark: AttemptMark },
  use: (child: WasmChild) => Promise<Value>,
): Promise<Value> {
  const { workspace, limits, mark } = wanted;
  const layout = await layOut(workspace, { files: {}, inputs: null, checkpoint: null }, tier.uidOf(mark));
  const { command, reads } = hostCommand(limits.memoryMb, READS_ROOT);
  const program = { command, reads, limits, layout, environment: {}, boundsData: false };
  const child = new WasmChild(tier.confine(program, mark), limits.memoryMb);
  try {
    await child.ready();
    return await use(child);
  } finally {
    await child.kill();
    await clearLayout(layout);
  }
}
