// The turns of the event loop.

/** Calls back once all that had reached this process in the present turn of the event loop has been taken in. */
export function atEndOfTurn(callback: () => void): void {
  setImmediate(callback);
}
