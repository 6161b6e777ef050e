// Finds blocked phrases in texts, word by word along a tree, so that neither a long list nor a long text makes it slow.

/** A phrase that may not be said, and the category a violation is told by. */
export interface BlockedPhrase {
  readonly category: string;
  readonly phrase: string;
}

interface Branch {
  readonly next: Map<string, Branch>;
  /** Of the phrase that ends here. */
  category: string | null;
}

/** Words, and every other character but space by itself. */
const TOKEN = /[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu;
/** Nobody blocks whole paragraphs; a text is compared so many tokens far from each of its words. */
const TOKENS_MAX = 20;

/** A list of phrases, in any case, spacing and compatible spelling. */
export class Phrases {
  readonly #root: Branch = { next: new Map(), category: null };
  #charsMax = 0;

  constructor(blocked: readonly BlockedPhrase[]) {
    for (const { category, phrase } of blocked) this.#add(category, phrase);
  }

  /** No phrase at all. */
  get isEmpty(): boolean {
    return this.#root.next.size === 0;
  }

  /** The category of the first phrase found; null where there is none. */
  find(text: string): string | null {
    if (this.isEmpty) return null;
    const tokens = tokensOf(text);
    for (let from = 0; from < tokens.length; from++) {
      let branch: Branch | undefined = this.#root;
      for (let at = from; branch !== undefined; at++) {
        if (branch.category !== null) return branch.category;
        branch = branch.next.get(tokens[at] ?? '');
      }
    }
    return null;
  }

  /** Looks at a text as it grows, piece by piece; answers as `find` does, for what is complete. */
  watch(): (piece: string) => string | null {
    let tail = '';
    return piece => {
      if (this.isEmpty) return null;
      tail += piece;
      // The last word may go on.
      const found = this.find(tail.replace(/[\p{L}\p{N}\p{M}]+$/u, ''));
      tail = tail.slice(-2 * this.#charsMax - SPACES_CHARS);
      return found;
    };
  }

  #add(category: string, phrase: string): void {
    const tokens = tokensOf(phrase).slice(0, TOKENS_MAX);
    if (tokens.length === 0) return;
    let branch = this.#root;
    for (const token of tokens) {
      const next: Branch = branch.next.get(token) ?? { next: new Map(), category: null };
      branch.next.set(token, next);
      branch = next;
    }
    branch.category ??= category;
    this.#charsMax = Math.max(this.#charsMax, phrase.length);
  }
}

/** Room for spaces within a phrase, which may be more in a text than in the list. */
const SPACES_CHARS = 64;

function tokensOf(text: string): readonly string[] {
  return text.normalize('NFKC').toLowerCase().match(TOKEN) ?? [];
}
