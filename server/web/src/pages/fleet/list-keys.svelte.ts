// Moving in a list of machines by keys: arrows where the focus is in it, `j` and `k` from anywhere. Enter opens, as links do;
// Space shows a machine at the side, and `x` selects it.
import type { Item } from '$lib/fleet/arrange';
import type { AgentRow } from '$lib/fleet/row.svelte';
import { keys } from '$lib/keys/keys.svelte';

interface List {
  items(): readonly Item[];
  /** What is drawn. */
  range(): { readonly from: number; readonly to: number };
  reveal(index: number): Promise<void>;
  container(): HTMLElement;
  /** A machine has the focus now. */
  onfocus(row: AgentRow): void;
  onpeek(row: AgentRow): void;
  onselect(row: AgentRow): void;
}

/** Call while a component is set up. */
export function listKeys(list: List) {
  let currentKey: string | null = $state.raw(null);
  /** Whether the focus is in the list. */
  let isWithin = $state.raw(false);
  const current = $derived(currentKey === null ? -1 : list.items().findIndex(({ key }) => key === currentKey));
  /** Of all that is drawn one can be reached by Tab. */
  const tabbable = $derived.by(() => {
    const { from, to } = list.range();
    return current >= from && current < to ? current : from;
  });

  async function move(to: number): Promise<void> {
    const index = Math.max(0, Math.min(to, list.items().length - 1));
    const item = list.items()[index];
    if (!item) return;
    currentKey = item.key;
    await list.reveal(index);
    list
      .container()
      .querySelector<HTMLElement>(`[data-index="${index}"] :is(a, button)`)
      ?.focus({ preventScroll: true });
  }
  const by = (step: number) => () => void move(current < 0 ? 0 : current + step);

  $effect(() =>
    keys.bind([
      { keys: 'j', label: (t) => t.palette.keys.next, run: by(1) },
      { keys: 'k', label: (t) => t.palette.keys.previous, run: by(-1) },
    ]),
  );

  // The space bar scrolls where no machine has the focus.
  $effect(() => {
    const item = isWithin ? list.items()[current] : undefined;
    if (item?.kind !== 'row') return;
    const { row } = item;
    return keys.bind([
      { keys: 'Space', label: (t) => t.palette.keys.peek, run: () => list.onpeek(row) },
      { keys: 'x', label: (t) => t.palette.keys.select, run: () => list.onselect(row) },
    ]);
  });

  return {
    isTabbable: (index: number) => index === tabbable,
    onkeydown(event: KeyboardEvent): void {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const page = Math.max(1, list.range().to - list.range().from - 16);
      const to = {
        ArrowDown: current + 1,
        ArrowUp: current - 1,
        PageDown: current + page,
        PageUp: current - page,
        Home: 0,
        End: list.items().length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      void move(to);
    },
    onfocusin(event: FocusEvent): void {
      const row = (event.target as Element).closest<HTMLElement>('[data-index]');
      const item = list.items()[Number(row?.dataset['index'] ?? -1)];
      currentKey = item?.key ?? null;
      isWithin = true;
      if (item?.kind === 'row') list.onfocus(item.row);
    },
    onfocusout(event: FocusEvent): void {
      isWithin = event.relatedTarget instanceof Node && list.container().contains(event.relatedTarget);
    },
  };
}
