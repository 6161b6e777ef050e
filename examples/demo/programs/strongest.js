// Runs in the sandbox, in QuickJS, as a step of the workflow: the strongest quarter of each region.

const strongest = Object.values(Object.groupBy(inputs.quarters, ({ region }) => region)).map(quarters =>
  quarters.reduce((best, one) => (Number(one.revenue) > Number(best.revenue) ? one : best)),
);

// The value of the last expression is the task's result.
({ strongest: strongest.map(({ region, quarter }) => ({ region, quarter })) });
