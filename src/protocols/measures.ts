// Figures as Prometheus reads them: which kinds there are, and how they are written.

/** One figure. */
export interface Measure {
  /** Begins with `batuta_`; a counter ends in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The text of exposition format 0.0.4, figures of one name together. */
export function prometheusText(measures: readonly Measure[]): string {
  const families = Map.groupBy(measures, ({ name }) => name);
  const lines = [...families].flatMap(([name, some]) => {
    const [{ help, type } = { help: '', type: 'gauge' }] = some;
    return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...some.map(lineOf)];
  });
  return `${lines.join('\n')}\n`;
}

function lineOf({ name, labels, value }: Measure): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
