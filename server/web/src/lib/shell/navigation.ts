// What the navigation shows, in its order: Fleet, Compare, Alerts, Add, Settings. Only what is in src/routes.ts can be here.
import { Bell, CirclePlus, Columns2, Server, Settings, type LucideIcon } from '@lucide/svelte';
import type { Messages } from '$lib/i18n/en';
import type { Match, RouteName } from '../../routes';

export interface NavigationItem {
  readonly route: RouteName;
  readonly label: (t: Messages) => string;
  readonly icon: LucideIcon;
  /** Has a place in the bar of phones, which has three beside "More". */
  readonly isOnPhone?: boolean;
  /** Lit as well on the pages below it. */
  readonly isActive?: (match: Match | null) => boolean;
}

export const navigation: readonly NavigationItem[] = [
  {
    route: 'fleet',
    label: (t) => t.fleet.title,
    icon: Server,
    isOnPhone: true,
    // A machine is part of the fleet; its page is `agent`.
    isActive: (match) => match?.name === 'fleet' || match?.route.path.startsWith('/agents/') === true,
  },
  { route: 'compare', label: (t) => t.machine.compare.title, icon: Columns2 },
  {
    route: 'alerts',
    label: (t) => t.alerts.title,
    icon: Bell,
    // On phones the bell of the header leads there.
    isActive: (match) => match?.route.path.startsWith('/alerts') === true,
  },
  { route: 'add', label: (t) => t.shell.add, icon: CirclePlus, isOnPhone: true },
  {
    route: 'status',
    label: (t) => t.shell.settings,
    icon: Settings,
    isOnPhone: true,
    isActive: (match) => match?.route.path.startsWith('/settings') === true,
  },
];
