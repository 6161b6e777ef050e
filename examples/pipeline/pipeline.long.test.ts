import assert from 'node:assert/strict';
import { test } from 'node:test';
import { played, rowsIn } from '../played.ts';

test('SAM-229 SAM-230 a log goes through three workers, two of them killed: the first waits when the pipe is full, and every failure is counted once', async t => {
  const said = await played(t, ['pipeline']);

  assert.match(said, /^read\.lines is full: 6[0-4]\.\d MiB wait for a filter, and the reader waits$/m);
  const [filter = 0, sum = 0] = ['filter', 'sum'].map(role =>
    Number(new RegExp(`^three: ${role} begins with chunk (\\d+)$`, 'm').exec(said)?.[1]),
  );
  assert.ok(filter >= 4, 'what was acknowledged does not come again');
  assert.ok(sum % 2 === 1, 'it goes on behind a checkpoint, which is one every two chunks');
  assert.match(said, /^nothing lost, nothing twice; /m);
  const rows = rowsIn(said);
  assert.deepEqual(
    rows.slice(0, 2).map(([pipe, state, chunks]) => [pipe, state, chunks]),
    [
      ['read.lines', 'ended', '23'],
      ['filter.failures', 'ended', '23'],
    ],
  );
  const [, lines] = /, (\d+) lines$/m.exec(said) ?? [];
  const counted = rows.slice(2).reduce((all, [, failures]) => all + Number(failures), 0);
  assert.equal(counted, Math.ceil(Number(lines) / 23));
});
