// Cycles among tasks that wait for one another.

/** The ids along a cycle, the first repeated at the end, or null where the graph has none. */
export function findCycle(
  nodes: readonly { readonly id: string; readonly dependsOn: readonly string[] }[],
): readonly string[] | null {
  const edges = new Map(nodes.map(node => [node.id, node.dependsOn]));
  const done = new Set<string>();
  for (const { id } of nodes) {
    const cycle = follow(id, edges, done);
    if (cycle !== null) return cycle;
  }
  return null;
}

/** Depth first without recursion, so that a long chain cannot exhaust the stack. */
function follow(
  start: string,
  edges: ReadonlyMap<string, readonly string[]>,
  done: Set<string>,
): readonly string[] | null {
  const path: { readonly id: string; next: number }[] = [{ id: start, next: 0 }];
  const onPath = new Set([start]);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = edges.get(top.id)?.[top.next++];
    if (child === undefined) {
      path.pop();
      onPath.delete(top.id);
      done.add(top.id);
    } else if (onPath.has(child)) {
      const from = path.findIndex(step => step.id === child);
      return [...path.slice(from).map(step => step.id), child];
    } else if (!done.has(child) && edges.has(child)) {
      path.push({ id: child, next: 0 });
      onPath.add(child);
    }
  }
  return null;
}
