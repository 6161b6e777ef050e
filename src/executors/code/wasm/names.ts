// The names of files in the world of a task: relative paths of plain parts, the only kind that can become a path on the host.

const PART = /^[^/\\\p{Cc}]{1,200}$/u;
const PARTS_MAX = 16;

/** True for a relative path that stays below where it starts and is the same on every system. */
export function isPlainPath(path: string): boolean {
  const parts = path.split('/');
  return parts.length <= PARTS_MAX && parts.every(part => part !== '.' && part !== '..' && PART.test(part));
}

/** True for a plain path of one part. */
export function isPlainName(name: string): boolean {
  return isPlainPath(name) && !name.includes('/');
}
