// Every page of the console: its path, who may see it, and the chunk that it is in. A page that is not here does not exist.
import type { Component } from 'svelte';
import { fillPath, matchPath, type PathParams } from '$lib/router/path';

type Role = 'admin' | 'user';

type Page<P extends string> = keyof PathParams<P> extends never ? Component : Component<{ params: PathParams<P> }>;

interface Route<P extends string> {
  readonly path: P;
  /** The page takes the parameters of its path as `params`, or nothing where there are none. */
  readonly load: () => Promise<{ default: Page<P> }>;
  /** Who may see it; left out: whoever is logged in. */
  readonly role?: Role;
  /** Stands alone, without header and navigation, and needs no login. */
  readonly isBare?: boolean;
}

const route = <const P extends string>(route: Route<P>) => route;

export const routes = {
  fleet: route({ path: '/', load: () => import('./pages/fleet/FleetPage.svelte') }),
  agent: route({ path: '/agents/:id', load: () => import('./pages/agents/AgentPage.svelte') }),
  compare: route({ path: '/compare', load: () => import('./pages/compare/ComparePage.svelte') }),
  alerts: route({ path: '/alerts', load: () => import('./pages/alerts/AlertsPage.svelte') }),
  alertHistory: route({ path: '/alerts/history', load: () => import('./pages/alerts/HistoryPage.svelte') }),
  rules: route({ path: '/alerts/rules', load: () => import('./pages/rules/RulesPage.svelte') }),
  rule: route({ path: '/alerts/rules/:id', load: () => import('./pages/rules/RulePage.svelte'), role: 'admin' }),
  silences: route({ path: '/alerts/silences', load: () => import('./pages/silences/SilencesPage.svelte') }),
  // After the ones above, whose paths it has as well.
  alert: route({ path: '/alerts/:id', load: () => import('./pages/alerts/AlertPage.svelte') }),
  login: route({ path: '/login', load: () => import('./pages/login/LoginPage.svelte'), isBare: true }),
  add: route({ path: '/add', load: () => import('./pages/add/AddPage.svelte'), role: 'admin' }),
  settings: route({ path: '/settings', load: () => import('./pages/settings/StatusPage.svelte') }),
  status: route({ path: '/settings/status', load: () => import('./pages/settings/StatusPage.svelte') }),
  enrollments: route({
    path: '/settings/enrollments',
    load: () => import('./pages/settings/EnrollmentsPage.svelte'),
    role: 'admin',
  }),
  users: route({ path: '/settings/users', load: () => import('./pages/settings/UsersPage.svelte'), role: 'admin' }),
  user: route({ path: '/settings/users/:id', load: () => import('./pages/settings/UserPage.svelte'), role: 'admin' }),
  retention: route({ path: '/settings/retention', load: () => import('./pages/settings/RetentionPage.svelte') }),
  alertSettings: route({
    path: '/settings/alerting',
    load: () => import('./pages/settings/AlertSettingsPage.svelte'),
    role: 'admin',
  }),
  channels: route({
    path: '/settings/channels',
    load: () => import('./pages/channels/ChannelsPage.svelte'),
    role: 'admin',
  }),
  channel: route({
    path: '/settings/channels/:id',
    load: () => import('./pages/channels/ChannelPage.svelte'),
    role: 'admin',
  }),
  deliveries: route({
    path: '/settings/deliveries',
    load: () => import('./pages/settings/DeliveriesPage.svelte'),
    role: 'admin',
  }),
  audit: route({ path: '/settings/audit', load: () => import('./pages/settings/AuditPage.svelte'), role: 'admin' }),
  account: route({ path: '/account', load: () => import('./pages/account/ProfilePage.svelte') }),
  security: route({ path: '/account/security', load: () => import('./pages/account/SecurityPage.svelte') }),
  tokens: route({ path: '/account/tokens', load: () => import('./pages/account/TokensPage.svelte') }),
};

export type RouteName = keyof typeof routes;
type Pattern<N extends RouteName> = (typeof routes)[N]['path'];

/** A route whose parameters are not known before it is found. */
type AnyRoute = Omit<Route<string>, 'load'> & {
  load: () => Promise<{ default: Component<{ params: Record<string, string> }> }>;
};

export interface Match {
  readonly name: RouteName;
  readonly route: AnyRoute;
  readonly params: Record<string, string>;
}

/** The page at a path. */
export function findRoute(path: string): Match | null {
  for (const [name, route] of Object.entries(routes)) {
    const params = matchPath(route.path, path);
    if (params) return { name: name as RouteName, route: route as AnyRoute, params };
  }
  return null;
}

/** The address of a page: `href('agent', { id })`. */
export function href<N extends RouteName>(
  name: N,
  ...[params]: keyof PathParams<Pattern<N>> extends never ? [] : [PathParams<Pattern<N>>]
): string {
  return fillPath(routes[name].path, params ?? {});
}
