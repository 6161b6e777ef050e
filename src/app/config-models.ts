// How the settings of models are written: a price list, and the phrases nobody may say.

/** What models cost by name, in the operator's currency: per million tokens read and written, or per picture. */
export type ModelPrices = Readonly<
  Record<
    string,
    { readonly inputPerMillion: number; readonly outputPerMillion: number } | { readonly perImage: number }
  >
>;

/** A phrase, and the category a violation is told by. */
export interface BlockedPhrase {
  readonly category: string;
  readonly phrase: string;
}

const DEFAULT_CATEGORY = 'blocked';

/** Reads `writer=0.15/0.6,painter=0.04`: two prices are per million tokens read and written, one is per picture. */
export function readPrices(text: string): ModelPrices {
  const entries = partsOf(text).map(part => {
    const at = part.lastIndexOf('=');
    const prices = part
      .slice(at + 1)
      .split('/')
      .map(price => (price.trim() === '' ? Number.NaN : Number(price)));
    const [input = Number.NaN, output] = prices;
    if (
      at < 1 ||
      prices.length > 2 ||
      prices.some(price => !(price >= 0 && price < Number.POSITIVE_INFINITY))
    )
      throw new Error(`it must be like "writer=0.15/0.6,painter=0.04", not "${part}"`);
    const price =
      output === undefined ? { perImage: input } : { inputPerMillion: input, outputPerMillion: output };
    return [part.slice(0, at).trim(), price] as const;
  });
  return Object.fromEntries(entries);
}

/** Reads `weapons: pipe bomb, internal: project falcon, darn`; a phrase without a category is of `blocked`. */
export function readBlocked(text: string): readonly BlockedPhrase[] {
  return partsOf(text).map(part => {
    const at = part.indexOf(':');
    const [category, phrase] = [part.slice(0, Math.max(0, at)).trim(), part.slice(at + 1).trim()];
    if (phrase === '' || at === 0)
      throw new Error(`it must be like "weapons: pipe bomb, darn", not "${part}"`);
    return { category: at < 0 ? DEFAULT_CATEGORY : category, phrase };
  });
}

function partsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '');
}
