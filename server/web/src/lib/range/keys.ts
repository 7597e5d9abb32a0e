// The shortcuts of a page with a range.
import type { Shortcut } from '../keys/keys.svelte';
import { PRESETS } from './range';
import type { RangeState } from './state.svelte';

interface Actions {
  readonly choose: () => void;
  readonly exportShown: () => void;
}

export function rangeShortcuts(range: RangeState, { choose, exportShown }: Actions): Shortcut[] {
  return [
    ...PRESETS.map((preset, i) => ({ keys: String(i + 1), label: () => preset, run: () => range.preset(preset) })),
    { keys: 'ArrowLeft', label: (t) => t.range.earlier, run: () => range.shift(-0.5) },
    { keys: 'ArrowRight', label: (t) => t.range.later, run: () => range.shift(0.5) },
    { keys: '+', label: (t) => t.range.zoomIn, run: () => range.zoomBy(0.5) },
    { keys: '-', label: (t) => t.range.zoomOut, run: () => range.zoomBy(2) },
    { keys: '0', label: (t) => t.range.reset, run: () => range.reset() },
    { keys: 'l', label: (t) => t.range.goLive, run: () => range.setLive(!range.isLive) },
    { keys: 't', label: (t) => t.range.absolute, run: choose },
    { keys: 'e', label: (t) => t.range.exportHint, run: exportShown },
  ];
}
