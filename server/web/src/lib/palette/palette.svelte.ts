// Whether the palette, or the list of shortcuts, is open.
class PaletteState {
  open: 'search' | 'keys' | null = $state.raw(null);
}

export const palette = new PaletteState();
