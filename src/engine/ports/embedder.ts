// What the memory needs from whoever makes vectors of texts, and from whoever knows better than words in which order answers belong.

/** Makes vectors of texts; texts that mean the same get vectors that point the same way. Calls throw as a `ModelProvider`'s do. */
export interface Embedder {
  /** Vectors under one name can be compared; whatever changes them changes the name. */
  readonly name: string;
  /** At most 1,024. */
  readonly dimensions: number;
  /** Texts whose vectors have a smaller cosine have nothing to do with each other, unless they share words. */
  readonly nearCosine: number;
  /** One vector a text, in order, of any length but with all its numbers finite; zero for a text that says nothing. */
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>;
}

/** Puts passages into the order in which they answer a query. */
export interface Reranker {
  /** The places of all passages, best first; throws where it cannot tell. */
  order(query: string, passages: readonly string[]): Promise<readonly number[]>;
}
