// The tab's icon: Pika's sign, and in its corner how many machines need attention.
const SIGN =
  '<rect width="32" height="32" rx="8" fill="#1c62b6"/>' +
  '<path d="M5 18h5l3-9 6 15 3-6h5" fill="none" stroke="#fff" stroke-width="2.75" stroke-linecap="round" stroke-linejoin="round"/>';

/** How long an icon is kept that another has replaced. */
const KEPT_MS = 60_000;
let shown = 0;
let address = '';

/** Draws the number into the icon; none for 0. */
export function showTrouble(count: number): void {
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (!link || count === shown) return;
  shown = count;
  // The browser may be about to read the one before.
  const former = address;
  if (former) setTimeout(() => URL.revokeObjectURL(former), KEPT_MS);
  address = count > 0 ? URL.createObjectURL(new Blob([iconWith(count)], { type: 'image/svg+xml' })) : '';
  link.href = address || '/favicon.svg';
}

/** The number in the shape of what is critical. */
function iconWith(count: number): string {
  const text = count > 99 ? '99+' : String(count);
  const size = { 1: 17, 2: 14, 3: 10 }[text.length] ?? 10;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${SIGN}` +
    '<path d="M20 8 32 20 20 32 8 20z" fill="#9d0811" stroke="#fff" stroke-width="1.5"/>' +
    `<text x="20" y="${20 + size * 0.36}" font-family="sans-serif" font-weight="700" font-size="${size}" fill="#fff" text-anchor="middle">${text}</text></svg>`
  );
}
