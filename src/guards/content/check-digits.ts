// Which numbers are what they look like: cards, IBANs, Spanish identity numbers and US social security numbers, by their own rules.

const DNI_LETTERS = 'TRWAGMYFPDXBNJZSQVHLCKE';

/** Characters of an IBAN by country (ISO 13616). */
const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 ' +
    'GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 ' +
    'MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 ' +
    'TN24 TR26 UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map(entry => [entry.slice(0, 2), Number(entry.slice(2))]),
);

/** How many characters an IBAN of the country has; undefined where there are none. */
export function ibanLength(country: string): number | undefined {
  return IBAN_LENGTHS.get(country);
}

/** Whether letters (upper-case) and digits are an IBAN of its country's length whose remainder by 97 is 1. */
export function isIban(iban: string): boolean {
  if (iban.length !== ibanLength(iban.slice(0, 2))) return false;
  let rest = 0;
  for (const character of `${iban.slice(4)}${iban.slice(0, 4)}`) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

/** Whether digits are the number of a payment card: a known issuer's prefix and length, and Luhn's sum. */
export function isCard(digits: string): boolean {
  return isIssued(digits) && isLuhn(digits);
}

/** Whether the last digit is right by Luhn's sum. */
export function isLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at]);
    const doubled = digit * 2;
    sum += at % 2 === 0 ? digit : doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** Whether an upper-case DNI (8 digits and a letter) or NIE (X, Y or Z, 7 digits and a letter) has the right letter. */
export function isSpanishId(id: string): boolean {
  const digits = id.slice(0, -1).replace(/^[XYZ]/, letter => String('XYZ'.indexOf(letter)));
  return digits.length === 8 && DNI_LETTERS[Number(digits) % 23] === id.at(-1);
}

/** Whether nine digits may have been given out as a US social security number; it has no check digit. */
export function isUsSsn(digits: string): boolean {
  const [area, group, serial] = [digits.slice(0, 3), digits.slice(3, 5), digits.slice(5)];
  return area !== '000' && area !== '666' && area < '900' && group !== '00' && serial !== '0000';
}

function isIssued(digits: string): boolean {
  const { length } = digits;
  const four = Number(digits.slice(0, 4));
  const within = (from: number, to: number): boolean => four >= from && four <= to;
  if (within(4_000, 4_999)) return length === 13 || length === 16 || length === 19;
  if (within(5_100, 5_599) || within(2_221, 2_720) || within(3_528, 3_589)) return length === 16;
  if (within(3_400, 3_499) || within(3_700, 3_799)) return length === 15;
  if (within(3_000, 3_059) || within(3_600, 3_699) || within(3_800, 3_999)) return length === 14;
  return (within(5_000, 5_099) || within(5_600, 6_999)) && length >= 16 && length <= 19;
}
