// The seccomp filter of a sandboxed program, as classic BPF bytes: system calls that no ordinary program needs and that escapes
// are made of answer EPERM. It is a fence behind the namespaces, so it lists what is refused, not what is allowed.

/** Architectures a filter exists for, by Node's names. */
export type FilteredArch = 'x64' | 'arm64';

// Numbers are those of the kernel's own tables: x64 has a table of its own, arm64 uses the generic one, and from 424 on they agree.
const DENIED: Readonly<Record<string, readonly [x64: number | null, arm64: number | null]>> = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  create_module: [174, null],
  delete_module: [176, 106],
  fanotify_init: [300, 262],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  ioperm: [173, null],
  iopl: [172, null],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  memfd_create: [319, 279],
  memfd_secret: [447, 447],
  modify_ldt: [154, null],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  move_pages: [279, 239],
  mq_open: [240, 180],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  open_tree_attr: [467, 467],
  perf_event_open: [298, 241],
  personality: [135, 92],
  pidfd_getfd: [438, 438],
  pivot_root: [155, 41],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  // Held to its processors by the parent, a program may not leave them.
  sched_setaffinity: [203, 122],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  // Shared memory outside any mapping escapes the count of what a program holds; memfd_create likewise.
  shmget: [29, 194],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  vhangup: [153, 58],
};

const ARCHS = {
  x64: { audit: 0xc000003e, column: 0, clone: 56, clone3: 435, socket: 41, prctl: 157, ioctl: 16 },
  arm64: { audit: 0xc00000b7, column: 1, clone: 220, clone3: 435, socket: 198, prctl: 167, ioctl: 29 },
} as const;

const X32_BIT = 0x40000000;
const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
const PR_SET_DUMPABLE = 4;
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
/** The CLONE_NEW flags clone takes: mount, cgroup, uts, ipc, user, pid, network. */
const NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000;
/** AF_UNIX, AF_INET and AF_INET6: the sandbox's network is empty, and others (vsock, alg, netlink) are ways around it. */
const FAMILIES = [1, 2, 10];

const RETURN_ALLOW = 0x7fff0000;
const RETURN_KILL_PROCESS = 0x80000000;
const RETURN_ERRNO = 0x00050000;

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const NUMBER_AT = 0;
const ARCH_AT = 4;
/** The low half of an argument; both architectures are little endian. */
const argumentAt = (index: number): number => 16 + 8 * index;

/** An instruction: what to do, with what, and how many to skip when a condition holds or does not. */
type Instruction = readonly [code: number, value: number, ifTrue?: number, ifFalse?: number];

const refuse = (errno: number): Instruction => [RETURN, RETURN_ERRNO | errno];

/** True where a filter can be made; elsewhere programs of the kinds that need one are refused. */
export function isFiltered(arch: string): arch is FilteredArch {
  return Object.hasOwn(ARCHS, arch);
}

/** The filter's bytes, as `bwrap --seccomp` reads them: 8 for each instruction, in the order of the machine. */
export function seccompFilter(arch: FilteredArch): Buffer {
  const program = instructions(arch);
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, value, ifTrue = 0, ifFalse = 0], index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4);
  });
  return bytes;
}

function instructions(arch: FilteredArch): Instruction[] {
  const { audit, column, clone, clone3, socket, prctl, ioctl } = ARCHS[arch];
  const denied = Object.values(DENIED)
    .map(numbers => numbers[column])
    .filter(number => number !== null);
  return [
    [LOAD, ARCH_AT],
    [JUMP_EQUAL, audit, 1, 0],
    [RETURN, RETURN_KILL_PROCESS],
    [LOAD, NUMBER_AT],
    ...(arch === 'x64' ? ([[JUMP_AT_LEAST, X32_BIT, 0, 1], refuse(ENOSYS)] satisfies Instruction[]) : []),
    // Its flags are behind a pointer, where no filter can look: libraries then fall back to clone.
    [JUMP_EQUAL, clone3, 0, 1],
    refuse(ENOSYS),
    ...denied.flatMap((number): Instruction[] => [[JUMP_EQUAL, number, 0, 1], refuse(EPERM)]),
    ...checked(clone, 0, [[JUMP_ANY_BIT, NAMESPACES, 0, 1], refuse(EPERM)]),
    ...checked(prctl, 0, [[JUMP_EQUAL, PR_SET_DUMPABLE, 0, 1], refuse(EPERM)]),
    ...checked(ioctl, 1, [[JUMP_EQUAL, TIOCSTI, 1, 0], [JUMP_EQUAL, TIOCLINUX, 0, 1], refuse(EPERM)]),
    ...checked(socket, 0, [
      ...FAMILIES.map((family, index): Instruction => [JUMP_EQUAL, family, FAMILIES.length - index, 0]),
      refuse(EAFNOSUPPORT),
    ]),
    [RETURN, RETURN_ALLOW],
  ];
}

/** Looks at one argument of one call; a call that passes is allowed, any other goes on to the next check. */
function checked(number: number, argument: number, check: readonly Instruction[]): Instruction[] {
  return [
    [JUMP_EQUAL, number, 0, check.length + 2],
    [LOAD, argumentAt(argument)],
    ...check,
    [RETURN, RETURN_ALLOW],
  ];
}
