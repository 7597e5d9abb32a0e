// The colours in effect, for what CSS does not draw: charts on a canvas ask here.
import { createSubscriber } from 'svelte/reactivity';
import { preferences } from './preferences.svelte';

const system = matchMedia('(prefers-color-scheme: dark)');
const followSystem = createSubscriber((update) => {
  system.addEventListener('change', update);
  return () => system.removeEventListener('change', update);
});

class ThemeColors {
  #known = new Map<string, string>();
  #knownOf = '';

  /** Whether the page is dark now. */
  get isDark(): boolean {
    followSystem();
    return preferences.theme === 'system' ? system.matches : preferences.theme === 'dark';
  }

  /** The value of a colour token such as `--accent`, as a canvas takes it. Depends on the theme when read in an effect. */
  color(token: `--${string}`): string {
    const theme = String(this.isDark);
    if (theme !== this.#knownOf) {
      this.#known.clear();
      this.#knownOf = theme;
    }
    const known = this.#known.get(token);
    if (known) return known;
    // A property's own value is `light-dark(…)`; used as a colour it is the one in effect.
    const probe = document.body.appendChild(document.createElement('span'));
    probe.style.color = `var(${token})`;
    const color = getComputedStyle(probe).color;
    probe.remove();
    this.#known.set(token, color);
    return color;
  }
}

export const theme = new ThemeColors();
