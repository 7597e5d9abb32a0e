// What the palette offers beside machines: the pages of the navigation, and what can be done from anywhere.
import { Keyboard, LogOut, Monitor, Moon, Rows3, Rows4, Sun, type LucideIcon } from '@lucide/svelte';
import type { AgentRow } from '$lib/fleet/row.svelte';
import { i18n } from '$lib/i18n/i18n.svelte';
import { preferences, type Density, type Theme } from '$lib/preferences.svelte';
import { session } from '$lib/session.svelte';
import { logOut } from '$lib/shell/log-out';
import { navigation } from '$lib/shell/navigation';
import { href, routes } from '../../routes';
import { palette } from './palette.svelte';

/** A machine, a page or an action. */
export interface Choice {
  readonly key: string;
  readonly row?: AgentRow;
  readonly label?: string;
  readonly icon?: LucideIcon;
  /** Where it leads; else it runs. */
  readonly href?: string;
  readonly run?: () => void;
}

const THEMES: readonly [Theme, LucideIcon][] = [
  ['system', Monitor],
  ['light', Sun],
  ['dark', Moon],
];
const DENSITIES: readonly [Density, LucideIcon][] = [
  ['compact', Rows4],
  ['comfortable', Rows3],
];

export const choices = {
  pages(): Choice[] {
    return navigation
      .filter(({ route }) => session.has(routes[route].role))
      .map((item) => ({
        key: `page-${item.route}`,
        label: item.label(i18n.t),
        icon: item.icon,
        href: href(item.route),
      }));
  },
  actions(): Choice[] {
    const t = i18n.t.palette;
    return [
      ...THEMES.filter(([theme]) => theme !== preferences.theme).map(([theme, icon]) => ({
        key: `theme-${theme}`,
        label: t.themes[theme],
        icon,
        run: () => preferences.set({ theme }),
      })),
      ...DENSITIES.filter(([density]) => density !== preferences.density).map(([density, icon]) => ({
        key: `density-${density}`,
        label: t.densities[density],
        icon,
        run: () => preferences.set({ density }),
      })),
      { key: 'keys', label: t.showKeys, icon: Keyboard, run: () => (palette.open = 'keys') },
      { key: 'log-out', label: i18n.t.shell.logout, icon: LogOut, run: () => void logOut() },
    ];
  },
};
