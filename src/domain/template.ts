// Text with expressions between braces: where they begin and end, whatever language they are in.

/** Of text, names and literals within an expression. */
const QUOTES = new Set(["'", '"', '`']);

/** How expressions stand in a text. */
export interface TemplateSyntax<Expression> {
  readonly open: string;
  readonly close: string;
  /** Characters an expression may have. */
  readonly lengthMax: number;
  /** Throws an `Error` for what is none. */
  readonly parse: (text: string) => Expression;
}

/** Text and expressions in turn; throws an `Error` saying what is wrong. */
export function partsOf<Expression>(
  text: string,
  syntax: TemplateSyntax<Expression>,
): readonly (string | Expression)[] {
  const parts: (string | Expression)[] = [];
  let from = 0;
  for (let open = text.indexOf(syntax.open); open >= 0; open = text.indexOf(syntax.open, from)) {
    if (open > from) parts.push(text.slice(from, open));
    const { expression, end } = expressionAt(text, open + syntax.open.length, syntax);
    parts.push(expression);
    from = end;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/** Braces may stand in an expression too: the first pair outside quotes that leaves one that parses ends it. */
function expressionAt<Expression>(
  text: string,
  start: number,
  { open, close, lengthMax, parse }: TemplateSyntax<Expression>,
): { readonly expression: Expression; readonly end: number } {
  let fault: unknown = new Error(`${open} without ${close}`);
  let quote = '';
  for (let at = start; at < text.length && at - start <= lengthMax; at++) {
    const character = text[at] ?? '';
    if (quote !== '' && character === '\\') at++;
    else if (character === quote) quote = '';
    else if (quote === '' && QUOTES.has(character)) quote = character;
    else if (quote === '' && text.startsWith(close, at)) {
      try {
        return { expression: parse(text.slice(start, at).trim()), end: at + close.length };
      } catch (error) {
        fault = error;
      }
    }
  }
  throw fault;
}
