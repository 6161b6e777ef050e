// Durations as this wire writes them: ISO 8601, of weeks, days, hours, minutes and seconds, whose length is always the same.

const DURATION =
  /^P(?=.)(?:(\d{1,9}(?:\.\d{1,3})?)W)?(?:(\d{1,9}(?:\.\d{1,3})?)D)?(?:T(?=.)(?:(\d{1,9}(?:\.\d{1,3})?)H)?(?:(\d{1,9}(?:\.\d{1,3})?)M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?$/;
const UNITS_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1_000] as const;

/** How its text must look. */
export const DURATION_PATTERN = DURATION.source;

/** Milliseconds of a duration; null where the text is none. */
export function durationMs(text: string): number | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  return UNITS_MS.reduce((sum, unit, at) => sum + Math.round(Number(match[at + 1] ?? 0) * unit), 0);
}

/** The duration in seconds and, where there are any, minutes and hours: `PT2M30S`. */
export function durationText(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = Math.round(ms % 60_000) / 1_000;
  const parts = [
    hours > 0 ? `${hours}H` : '',
    minutes > 0 ? `${minutes}M` : '',
    seconds > 0 ? `${seconds}S` : '',
  ];
  const text = parts.join('');
  return `PT${text === '' ? '0S' : text}`;
}
