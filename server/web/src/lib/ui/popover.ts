// Where what floats goes: below what opened it, in the window.
const MARGIN = 8;

/** Places an open popover below an element, at its end where the start has no room; above where below has none. */
export function place(popover: HTMLElement, anchor: HTMLElement): void {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = popover;
  const { clientWidth, clientHeight } = document.documentElement;
  const startsAt = box.left + offsetWidth + MARGIN <= clientWidth ? box.left : box.right - offsetWidth;
  const hasRoomBelow = box.bottom + offsetHeight + MARGIN <= clientHeight;
  const top = hasRoomBelow ? box.bottom + 4 : box.top - offsetHeight - 4;
  popover.style.left = `${Math.max(MARGIN, startsAt)}px`;
  popover.style.top = `${Math.max(MARGIN, top)}px`;
}
