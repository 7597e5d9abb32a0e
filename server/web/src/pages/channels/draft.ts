// A channel while it is edited: what was typed, and the request that it becomes.
import type { Channel, ChannelField, ChannelKind, ChannelRequest } from '$lib/queries/channels';
import type { Severity } from '$lib/queries/alerts';

export interface ChannelDraft {
  name: string;
  enabled: boolean;
  isDefault: boolean;
  minSeverity: Severity;
  tellsResolved: boolean;
  /** Empty: that of the settings. */
  language: '' | 'en' | 'zh';
  /** Empty: that of the settings. */
  timeZone: string;
  /** As typed, by the name of the field; lists a line each. */
  settings: Record<string, string | boolean>;
  /** As typed; empty keeps what there is. */
  secrets: Record<string, string>;
  /** Secrets that are to be removed. */
  removed: Record<string, boolean>;
  body: string;
  groupWaitMs: number;
  groupIntervalMs: number;
  perHourMax: string;
  minIntervalMs: number;
}

const isList = ({ type }: ChannelField) => type === 'texts' || type === 'mailAddresses';
const SEVERITIES: readonly string[] = ['info', 'warning', 'critical'] satisfies Severity[];

/** How a setting is shown in its control. */
function typed(field: ChannelField, value: unknown): string | boolean {
  if (field.type === 'boolean') return value === undefined ? field.default === true : value === true;
  if (Array.isArray(value)) return value.join('\n');
  if (value === undefined || value === null) return field.type === 'choice' ? String(field.default ?? '') : '';
  return String(value);
}

export function draftOf(kind: ChannelKind, channel: Channel | null): ChannelDraft {
  const settings = (channel?.settings ?? {}) as Readonly<Record<string, unknown>>;
  const severity = channel?.minSeverity ?? 'info';
  const language = channel?.language ?? '';
  return {
    name: channel?.name ?? kind.name,
    enabled: channel?.enabled ?? true,
    isDefault: channel?.isDefault ?? true,
    minSeverity: (SEVERITIES.includes(severity) ? severity : 'info') as Severity,
    tellsResolved: channel?.tellsResolved ?? true,
    language: language === 'en' || language === 'zh' ? language : '',
    timeZone: channel?.timeZone ?? '',
    settings: Object.fromEntries(
      kind.fields.filter(({ secret }) => !secret).map((field) => [field.name, typed(field, settings[field.name])]),
    ),
    secrets: Object.fromEntries(kind.fields.filter(({ secret }) => secret).map(({ name }) => [name, ''])),
    removed: {},
    body: channel?.templates?.body ?? '',
    groupWaitMs: channel?.groupWaitMs ?? 30_000,
    groupIntervalMs: channel?.groupIntervalMs ?? 300_000,
    perHourMax: String(channel?.perHourMax ?? 60),
    minIntervalMs: channel?.minIntervalMs ?? 0,
  };
}

/** What a setting is in a request; undefined: it is not set. A number that is none is left for the server to name. */
function settingOf(field: ChannelField, value: string | boolean | undefined): unknown {
  if (typeof value === 'boolean') return value;
  const text = (value ?? '').trim();
  if (isList(field)) {
    const items = text
      .split('\n')
      .map((item) => item.trim())
      .filter(Boolean);
    return items.length > 0 ? items : undefined;
  }
  if (text === '') return undefined;
  return field.type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text;
}

export function requestOf(kind: ChannelKind, draft: ChannelDraft, channel: Channel | null): ChannelRequest {
  const settings: Record<string, unknown> = {};
  const secrets: Record<string, string | null> = {};
  for (const field of kind.fields) {
    const { name } = field;
    if (!field.secret) {
      const value = settingOf(field, draft.settings[name]);
      if (value !== undefined) settings[name] = value;
    } else if (draft.secrets[name]?.trim()) {
      secrets[name] = draft.secrets[name].trim();
    } else if (draft.removed[name]) {
      secrets[name] = null;
    }
  }
  const body = draft.body.trim();
  return {
    name: draft.name.trim(),
    kind: kind.kind,
    ...(channel && { version: channel.version }),
    enabled: draft.enabled,
    isDefault: draft.isDefault,
    minSeverity: draft.minSeverity,
    tellsResolved: draft.tellsResolved,
    language: draft.language || null,
    timeZone: draft.timeZone || null,
    settings,
    secrets,
    templates: kind.hasBodyTemplate && body ? { body } : null,
    groupWaitMs: draft.groupWaitMs,
    groupIntervalMs: draft.groupIntervalMs,
    minIntervalMs: draft.minIntervalMs,
    perHourMax: Number(draft.perHourMax),
  };
}
