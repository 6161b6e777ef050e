// A network of one node's own, joined to ours by a cable that can be pulled: a namespace of the kernel, for which one must be root.

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

/** A network of its own, seen from ours. */
export interface Island {
  /** The address of whoever lives there. */
  readonly address: string;
  /** Our end of the cable: what those there can reach. */
  readonly shore: string;
  /** What a command must be prefixed with to run there. */
  readonly through: readonly string[];
  /** Nothing crosses until `mend`, and nobody is told that it does not. */
  cut(): void;
  mend(): void;
  /** Lets those there reach a port of this machine; answers the port to ask at the shore. */
  ferry(port: number): Promise<number>;
  close(): void;
}

/** Why there can be no islands here, or false. */
export const islandsMissing: string | false = reasonWithout();

let made = 0;

/** Raises an island; one must be root, and there must be `ip`. */
export function raiseIsland(): Island {
  made += 1;
  const name = `batuta-${process.pid}-${made}`;
  const [ours, theirs] = [`bt${process.pid}a${made}`, `bt${process.pid}b${made}`];
  const network = `10.${200 + (process.pid % 50)}.${Math.floor(process.pid / 50) % 250}`;
  const [shore, address] = [`${network}.${4 * made + 1}`, `${network}.${4 * made + 2}`];
  ip('netns', 'add', name);
  const sink = (): void => {
    spawnSync('ip', ['link', 'del', ours]);
    spawnSync('ip', ['netns', 'del', name]);
  };
  process.once('exit', sink);
  ip('link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs, 'netns', name);
  ip('addr', 'add', `${shore}/30`, 'dev', ours);
  ip('link', 'set', ours, 'up');
  ip('-n', name, 'addr', 'add', `${address}/30`, 'dev', theirs);
  ip('-n', name, 'link', 'set', 'lo', 'up');
  ip('-n', name, 'link', 'set', theirs, 'up');
  const ferries: (() => void)[] = [];
  return {
    address,
    shore,
    through: ['ip', 'netns', 'exec', name],
    // Cut at the far end: whoever is asked from here neither answers nor refuses.
    cut: () => ip('-n', name, 'link', 'set', theirs, 'down'),
    mend: () => ip('-n', name, 'link', 'set', theirs, 'up'),
    async ferry(port) {
      const { at, stop } = await ferry(shore, port);
      ferries.push(stop);
      return at;
    },
    close() {
      process.off('exit', sink);
      for (const stop of ferries) stop();
      sink();
    },
  };
}

async function ferry(
  shore: string,
  port: number,
): Promise<{ readonly at: number; readonly stop: () => void }> {
  const open = new Set<() => void>();
  const server = createServer(near => {
    const far = connect(port, '127.0.0.1');
    const end = (): void => {
      near.destroy();
      far.destroy();
      open.delete(end);
    };
    open.add(end);
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, shore);
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    for (const end of open) end();
  };
  return { at: (server.address() as AddressInfo).port, stop };
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', [...args], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function reasonWithout(): string | false {
  const name = `batuta-${process.pid}-probe`;
  const isPossible = process.getuid?.() === 0 && spawnSync('ip', ['netns', 'add', name]).status === 0;
  if (isPossible) {
    spawnSync('ip', ['netns', 'del', name]);
    return false;
  }
  const reason = 'no networks of one’s own: one must be root, and `ip netns` must work';
  console.error(`SKIPPED for want of a namespace: ${reason}`);
  return reason;
}
