import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FilteredArch, isFiltered, seccompFilter } from './seccomp.ts';

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const errno = (number: number): number => 0x00050000 | number;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];
const AUDIT = { x64: 0xc000003e, arm64: 0xc00000b7 };
const NUMBERS = {
  x64: {
    read: 0,
    ptrace: 101,
    mount: 165,
    io_uring: 425,
    clone: 56,
    clone3: 435,
    socket: 41,
    prctl: 157,
    ioctl: 16,
  },
  arm64: {
    read: 63,
    ptrace: 117,
    mount: 40,
    io_uring: 425,
    clone: 220,
    clone3: 435,
    socket: 198,
    prctl: 167,
    ioctl: 29,
  },
};

/** Runs the filter as the kernel would. */
function verdict(arch: FilteredArch, call: { number: number; args?: number[]; audit?: number }): number {
  const filter = seccompFilter(arch);
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(call.audit ?? AUDIT[arch], 4);
  call.args?.forEach((value, index) => void data.writeBigUInt64LE(BigInt(value), 16 + 8 * index));
  let loaded = 0;
  for (let at = 0; at < filter.length / 8; at++) {
    const [code, ifTrue, ifFalse] = [
      filter.readUInt16LE(at * 8),
      filter[at * 8 + 2] ?? 0,
      filter[at * 8 + 3] ?? 0,
    ];
    const value = filter.readUInt32LE(at * 8 + 4);
    if (code === 0x06) return value;
    if (code === 0x20) loaded = data.readUInt32LE(value);
    else if (code === 0x15) at += loaded === value ? ifTrue : ifFalse;
    else if (code === 0x35) at += loaded >= value ? ifTrue : ifFalse;
    else if (code === 0x45) at += (loaded & value) === 0 ? ifFalse : ifTrue;
    else assert.fail(`unknown instruction ${code}`);
  }
  assert.fail('the filter has no end');
}

for (const arch of ['x64', 'arm64'] as const) {
  const calls = NUMBERS[arch];

  test(`SAM-139 on ${arch} ordinary calls pass and those that escapes are made of do not`, () => {
    assert.equal(verdict(arch, { number: calls.read }), ALLOW);
    assert.equal(verdict(arch, { number: 100_000 }), ALLOW);
    for (const number of [calls.ptrace, calls.mount, calls.io_uring])
      assert.equal(verdict(arch, { number }), errno(EPERM));
    assert.equal(verdict(arch, { number: calls.clone3 }), errno(ENOSYS));
  });

  test(`on ${arch} a call is judged by the arguments that matter`, () => {
    const SIGCHLD = 17;
    assert.equal(verdict(arch, { number: calls.clone, args: [SIGCHLD] }), ALLOW);
    assert.equal(verdict(arch, { number: calls.clone, args: [0x3d0f00] }), ALLOW, 'a thread');
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
      assert.equal(verdict(arch, { number: calls.clone, args: [flag | SIGCHLD] }), errno(EPERM));
    for (const [family, expected] of [
      [1, ALLOW],
      [2, ALLOW],
      [10, ALLOW],
      [16, errno(EAFNOSUPPORT)],
      [38, errno(EAFNOSUPPORT)],
      [40, errno(EAFNOSUPPORT)],
    ])
      assert.equal(verdict(arch, { number: calls.socket, args: [family ?? 0] }), expected);
    assert.equal(verdict(arch, { number: calls.prctl, args: [4] }), errno(EPERM), 'PR_SET_DUMPABLE');
    assert.equal(verdict(arch, { number: calls.prctl, args: [15] }), ALLOW, 'PR_SET_NAME');
    for (const request of [0x5412, 0x541c])
      assert.equal(verdict(arch, { number: calls.ioctl, args: [1, request] }), errno(EPERM));
    assert.equal(verdict(arch, { number: calls.ioctl, args: [0x5412, 0x5401] }), ALLOW);
  });

  test(`on ${arch} calls of another architecture end the process`, () => {
    assert.equal(verdict(arch, { number: calls.read, audit: 0x40000003 }), KILL);
  });
}

test('x64 calls by the x32 door are refused, so that no number can be spelled twice', () => {
  assert.equal(verdict('x64', { number: 0x40000000 + NUMBERS.x64.ptrace }), errno(ENOSYS));
});

test('there is a filter for two architectures, and none is made up for others', () => {
  assert.deepEqual(['x64', 'arm64', 'riscv64', 'constructor'].map(isFiltered), [true, true, false, false]);
});
