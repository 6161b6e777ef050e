// Cutting texts where a reader would: paragraphs, sentences, and passages of a few of them that can be found and shown by themselves.

/** How long passages are, in characters, and how much each repeats of the one before. */
export interface PassageOptions {
  readonly lengthMax: number;
  readonly overlapMax: number;
}

const ABBREVIATION =
  /(?:^|[\s(])(?:sr|sra|srta|dr|dra|d|dña|ud|uds|prof|ing|lic|art|núm|pág|cap|vol|ej|aprox|etc|mr|mrs|ms|st|no|fig|vs|e\.g|i\.e|p\.ej|[a-záéíóúñ])\.$/iu;
const SENTENCE_END = /[.!?…]+["'”’»)\]]*(?=\s|$)/gu;

/** The paragraphs of a text: what empty lines part. */
export function paragraphsOf(text: string): readonly string[] {
  return text
    .split(/\r?\n[^\S\n]*(?:\r?\n[^\S\n]*)+/)
    .map(paragraph => paragraph.trim())
    .filter(paragraph => paragraph !== '');
}

/** The sentences of a text; an abbreviation's or a number's point ends none, an empty line does. */
export function sentencesOf(text: string): readonly string[] {
  return paragraphsOf(text).flatMap(paragraph => {
    const sentences: string[] = [];
    let from = 0;
    for (const { 0: end, index } of paragraph.matchAll(SENTENCE_END)) {
      const until = index + end.length;
      const sentence = paragraph.slice(from, until);
      if (end === '.' && (ABBREVIATION.test(sentence) || goesOn(paragraph, until))) continue;
      sentences.push(sentence.trim());
      from = until;
    }
    const rest = paragraph.slice(from).trim();
    return rest === '' ? sentences : [...sentences, rest];
  });
}

/** Whether what follows begins small, as no sentence does. */
function goesOn(paragraph: string, from: number): boolean {
  return /^\s+\p{Ll}/u.test(paragraph.slice(from, from + 8));
}

/**
 * A text in passages of whole sentences, none longer than `lengthMax`, each beginning with the last sentences of the one before, as far
 * as `overlapMax` reaches; paragraphs are kept together where they fit. A text without words has none.
 */
export function passagesOf(text: string, { lengthMax, overlapMax }: PassageOptions): readonly string[] {
  const passages: string[] = [];
  let open: Piece[] = [];
  let length = 0;
  const close = (): void => {
    if (open.length === 0) return;
    passages.push(joined(open));
    open = overlap(open, overlapMax);
    length = lengthOf(open);
  };
  for (const paragraph of paragraphsOf(text)) {
    const pieces = piecesOf(paragraph, lengthMax);
    const whole = lengthOf(pieces);
    // A paragraph that fits into a passage of its own is not torn to fill up the one before.
    if (length + whole > lengthMax && whole <= lengthMax) close();
    for (const piece of pieces) {
      if (length + piece.text.length + 2 > lengthMax) close();
      // What is repeated must leave room for what is new.
      while (open.length > 0 && length + piece.text.length + 2 > lengthMax) {
        open = open.slice(1);
        length = lengthOf(open);
      }
      open.push(piece);
      length += piece.text.length + 2;
    }
  }
  if (open.some(({ repeated }) => !repeated)) passages.push(joined(open));
  return passages;
}

interface Piece {
  readonly text: string;
  /** Begins a paragraph. */
  readonly first: boolean;
  readonly repeated: boolean;
}

/** The sentences of a paragraph; one that is too long in parts, between words where there are any. */
function piecesOf(paragraph: string, lengthMax: number): readonly Piece[] {
  const most = lengthMax - 2;
  const parts = sentencesOf(paragraph).flatMap(sentence => {
    const cut: string[] = [];
    let rest = sentence;
    while (rest.length > most) {
      const space = rest.lastIndexOf(' ', most);
      const until = space > most / 2 ? space : wholeCharacters(rest, most);
      cut.push(rest.slice(0, until).trim());
      rest = rest.slice(until).trim();
    }
    return rest === '' ? cut : [...cut, rest];
  });
  return parts.map((text, index) => ({ text, first: index === 0, repeated: false }));
}

/** Not between the halves of one character. */
function wholeCharacters(text: string, until: number): number {
  const code = text.charCodeAt(until);
  return code >= 0xdc00 && code <= 0xdfff ? until - 1 : until;
}

function overlap(pieces: readonly Piece[], overlapMax: number): Piece[] {
  const kept: Piece[] = [];
  let length = 0;
  for (const piece of pieces.toReversed()) {
    length += piece.text.length + 2;
    if (length > overlapMax) break;
    kept.unshift({ ...piece, repeated: true });
  }
  // All of it again would be no progress.
  return kept.length === pieces.length ? [] : kept;
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { text }) => sum + text.length + 2, 0);
}

function joined(pieces: readonly Piece[]): string {
  return pieces
    .map(({ text, first }, index) => (index === 0 ? text : `${first ? '\n\n' : ' '}${text}`))
    .join('');
}
