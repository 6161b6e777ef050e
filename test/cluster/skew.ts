// Loaded before everything else in a process whose clock is to be wrong: by BATUTA_TEST_SKEW_MS milliseconds.

const skewMs = Number(process.env.BATUTA_TEST_SKEW_MS);

globalThis.Date = new Proxy(Date, {
  construct: (target, args, self) =>
    Reflect.construct(target, args.length === 0 ? [target.now() + skewMs] : args, self),
  apply: target => new target(target.now() + skewMs).toString(),
  get: (target, name) => (name === 'now' ? () => target.now() + skewMs : Reflect.get(target, name, target)),
});
