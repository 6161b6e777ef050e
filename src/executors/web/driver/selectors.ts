// Whether a CSS selector can be used, found out by compiling it.

import { load } from 'cheerio/slim';

const nothing = load('');

/** What is wrong with a selector, or null; `inBrowser` lets pseudo-classes pass that only a browser knows. */
export function selectorFault(
  selector: string,
  { inBrowser }: { readonly inBrowser: boolean },
): string | null {
  try {
    nothing(selector);
    // The first would be taken for markup, the last for a selector of nothing.
    return /^\s*<|[>+~]\s*$/.test(selector) ? 'is not a CSS selector' : null;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (inBrowser && /^unknown pseudo/i.test(why)) return null;
    return `is not a CSS selector: ${why}`;
  }
}
