// Runs in the sandbox, in QuickJS: what the next quarter may bring a region, by drawing many quarters from its past months.
// Keeps a checkpoint after each round, so that an interrupted simulation goes on where it was.

const months = JSON.parse(readInput('monthly.json')).filter(({ region }) => region === inputs.region);
const totals = [...Map.groupBy(months, ({ month }) => month).values()].map(rows =>
  rows.reduce((sum, { revenue }) => sum + Number(revenue), 0),
);

const state = restored ?? { round: 0, seed: inputs.seed, quarters: [] };
const resumedAfter = state.round;

while (state.round < inputs.rounds) {
  for (let draw = 0; draw < inputs.drawsPerRound; draw++)
    state.quarters.push(Math.round(month() + month() + month()));
  state.round += 1;
  checkpoint(state);
  progress((100 * state.round) / inputs.rounds, `round ${state.round} of ${inputs.rounds}`);
  // Leaves time to watch.
  await new Promise(resolve => setTimeout(resolve, inputs.pauseMs));
}

state.quarters.sort((one, other) => one - other);
const at = share => state.quarters[Math.floor(share * (state.quarters.length - 1))];

function month() {
  state.seed = (state.seed * 48271) % 2147483647;
  return totals[state.seed % totals.length];
}

({ region: inputs.region, low: at(0.1), middle: at(0.5), high: at(0.9), resumedAfter, steps: inputs.rounds });
