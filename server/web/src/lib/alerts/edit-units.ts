// Thresholds as people type them: sizes in GiB, rates in MB/s, clocks in seconds.

/** How much of the server's unit one of the typed unit is, and what the typed one is called; empty: a plain number. */
export function editUnit(unit: string): { readonly factor: number; readonly word: string } {
  switch (unit) {
    case 'percent':
      return { factor: 1, word: '%' };
    case 'bytes':
      return { factor: 2 ** 30, word: 'GiB' };
    case 'bytesPerSecond':
      return { factor: 1e6, word: 'MB/s' };
    case 'perSecond':
      return { factor: 1, word: '1/s' };
    case 'perHour':
      return { factor: 1, word: '1/h' };
    case 'bitsPerSecond':
      return { factor: 1e6, word: 'Mbit/s' };
    case 'hertz':
      return { factor: 1e6, word: 'MHz' };
    case 'celsius':
      return { factor: 1, word: '°C' };
    case 'watts':
      return { factor: 1, word: 'W' };
    case 'revolutionsPerMinute':
      return { factor: 1, word: 'rpm' };
    case 'seconds':
      return { factor: 1, word: 's' };
    case 'milliseconds':
      return { factor: 1000, word: 's' };
    default:
      return { factor: 1, word: '' };
  }
}

/** A stored value as text to be changed. */
export function toTyped(value: number, unit: string): string {
  return String(value / editUnit(unit).factor);
}

/** What was typed, in the server's unit; null: nothing; NaN: no number. */
export function fromTyped(text: string, unit: string): number | null {
  if (text.trim() === '') return null;
  const number = Number(text);
  return Number.isFinite(number) ? number * editUnit(unit).factor : NaN;
}
