// A morning's support tickets: the same ones each time, a few of them empty, as forms send them.

/** A ticket as it came in. */
export type Ticket = {
  readonly number: number;
  readonly text: string;
};

const OPENINGS = ['Hello,', 'Hi there,', 'Good morning.', 'Once more:', 'URGENT!'] as const;
const COMPLAINTS = [
  'my invoice shows the wrong amount',
  'the parcel has not arrived',
  'I cannot log in any more',
  'the lamp flickers',
  'please cancel my order',
  'where is my refund',
  'the password mail never comes',
] as const;
const EMPTY_EACH = 97;

/** So many tickets, numbered from 1. */
export function tickets(count: number): readonly Ticket[] {
  return Array.from({ length: count }, (_, at) => {
    const number = at + 1;
    if (number % EMPTY_EACH === 0) return { number, text: '' };
    const [opening, complaint] = [OPENINGS[at % OPENINGS.length], COMPLAINTS[at % COMPLAINTS.length]];
    return { number, text: `${opening} ${complaint} (order ${1_000 + at}).` };
  });
}
