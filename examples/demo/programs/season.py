# Runs in the sandbox, under bubblewrap: how each month compares with the mean month, and a chart of it.

import json
import os
from statistics import mean

with open(os.path.join(os.environ["BATUTA_INPUT"], "monthly.json")) as file:
    rows = json.load(file)

print('::batuta progress=30 step="adding up months"')
totals = {}
for row in rows:
    totals[row["month"]] = totals.get(row["month"], 0) + float(row["revenue"])
usual = mean(totals.values())
season = {month: round(total / usual, 3) for month, total in sorted(totals.items())}

print('::batuta progress=70 step="drawing the chart"')
bars = "".join(
    f'<rect x="{40 * at}" y="{200 - 100 * index}" width="32" height="{100 * index}"><title>{month}</title></rect>'
    for at, (month, index) in enumerate(season.items())
)
with open(os.path.join(os.environ["BATUTA_OUTPUT"], "season.svg"), "w") as file:
    file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 200">{bars}</svg>')

best = max(season, key=season.get)
print("::batuta result=" + json.dumps({"season": season, "best": best}))
