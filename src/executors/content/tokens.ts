// Guesses at tokens, for limits before a provider has counted. On the safe side: real texts have fewer.

const BYTES_PER_TOKEN = 3;

/** About how many tokens a text has, at least one for any text. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);
}
