// What a person prefers: language, theme, time zone, unit of rates, density, keyboard shortcuts, columns, the range of charts.
// This browser keeps it, for what is drawn before anybody has logged in; `account-preferences` takes it along to others.
import { PRESETS } from './range/range';

export type Language = 'en' | 'zh-CN';
export type Theme = 'system' | 'light' | 'dark';
export type RateUnit = 'bytes' | 'bits';
export type Density = 'compact' | 'comfortable';

/** The name in the browser's storage; src/boot/theme.js reads the same. */
const STORAGE_KEY = 'pika.preferences';

/** More names of columns than there will be. */
const COLUMNS_MAX = 64;

export interface Stored {
  language: Language | null;
  theme: Theme;
  /** An IANA name; null: the browser's. */
  zone: string | null;
  rateUnit: RateUnit;
  density: Density;
  /** Whether single keys are shortcuts. */
  singleKeys: boolean;
  /** What the fleet's table shows where its address does not say; null: the usual ones. */
  columns: readonly string[] | null;
  /** What charts begin with; null: the usual one. */
  range: (typeof PRESETS)[number] | null;
}

const DEFAULTS: Stored = {
  language: null,
  theme: 'system',
  zone: null,
  rateUnit: 'bytes',
  density: 'compact',
  singleKeys: true,
  columns: null,
  range: null,
};

const NAMES = Object.keys(DEFAULTS) as (keyof Stored)[];

function oneOf<T>(allowed: readonly T[], value: unknown, otherwise: T): T {
  return allowed.includes(value as T) ? (value as T) : otherwise;
}

function isZone(zone: unknown): zone is string {
  if (typeof zone !== 'string') return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** Takes what can be understood. */
export function understand(stored: Record<string, unknown>): Stored {
  return {
    language: oneOf<Language | null>(['en', 'zh-CN', null], stored['language'], null),
    theme: oneOf<Theme>(['system', 'light', 'dark'], stored['theme'], DEFAULTS.theme),
    zone: isZone(stored['zone']) ? stored['zone'] : null,
    rateUnit: oneOf<RateUnit>(['bytes', 'bits'], stored['rateUnit'], DEFAULTS.rateUnit),
    density: oneOf<Density>(['compact', 'comfortable'], stored['density'], DEFAULTS.density),
    singleKeys: stored['singleKeys'] !== false,
    columns: isColumns(stored['columns']) ? stored['columns'] : null,
    range: oneOf<Stored['range']>([...PRESETS, null], stored['range'], null),
  };
}

const isColumns = (names: unknown): names is string[] =>
  Array.isArray(names) && names.length <= COLUMNS_MAX && names.every((name) => typeof name === 'string');

interface Kept {
  readonly stored: Stored;
  /** The id of the user whose they are; null: nobody has logged in here yet. */
  readonly account: string | null;
  /** What the account has not been told of yet. */
  readonly unsent: readonly (keyof Stored)[];
}

function load(): Kept {
  try {
    const kept = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}') as Record<string, unknown>;
    const { account, unsent } = kept;
    return {
      stored: understand(kept),
      account: typeof account === 'string' ? account : null,
      unsent: NAMES.filter((name) => Array.isArray(unsent) && unsent.includes(name)),
    };
  } catch {
    return { stored: DEFAULTS, account: null, unsent: [] };
  }
}

class Preferences {
  readonly #kept = load();
  #stored = $state.raw(this.#kept.stored);
  #account = this.#kept.account;
  #unsent = this.#kept.unsent;
  #changed: () => void = () => undefined;

  /** Is called when a person changes something here. */
  onchange(changed: () => void): void {
    this.#changed = changed;
  }

  get stored(): Stored {
    return this.#stored;
  }

  /** The language that was chosen; null: the browser's. */
  get chosenLanguage(): Language | null {
    return this.#stored.language;
  }
  get language(): Language {
    const wanted = navigator.languages.find((language) => /^(en|zh)\b/i.test(language));
    return this.#stored.language ?? (wanted?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en');
  }
  get theme(): Theme {
    return this.#stored.theme;
  }
  /** The zone that was chosen; null: the browser's. */
  get chosenZone(): string | null {
    return this.#stored.zone;
  }
  get zone(): string {
    return this.#stored.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
  get rateUnit(): RateUnit {
    return this.#stored.rateUnit;
  }
  get density(): Density {
    return this.#stored.density;
  }
  get singleKeys(): boolean {
    return this.#stored.singleKeys;
  }
  get columns(): readonly string[] | null {
    return this.#stored.columns;
  }
  get range(): Stored['range'] {
    return this.#stored.range;
  }

  /** Changes some of them and keeps them. */
  set(changes: Partial<Stored>): void {
    this.#unsent = NAMES.filter((name) => name in changes || this.#unsent.includes(name));
    this.#keep({ ...this.#stored, ...changes });
    this.#changed();
  }

  /** Takes what the account has, but for what it is yet to be told of. Nothing of somebody else's stays. */
  adopt(account: string, theirs: Record<string, unknown> | null): void {
    const isOthers = this.#account !== null && this.#account !== account;
    if (isOthers) this.#unsent = [];
    this.#account = account;
    this.#keep(understand({ ...(theirs ?? (isOthers ? {} : this.#stored)), ...this.unsent }));
  }

  /** What the account is to be told of. */
  get unsent(): Partial<Stored> {
    return Object.fromEntries(this.#unsent.map((name) => [name, this.#stored[name]]));
  }

  /** The account has been told, of what has not changed again since. */
  sent(changes: Partial<Stored>): void {
    this.#unsent = this.#unsent.filter((name) => changes[name] !== this.#stored[name]);
    this.#keep(this.#stored);
  }

  /** Where the browser keeps anything. */
  #keep(stored: Stored): void {
    // Who draws by them does not draw again for nothing.
    if (JSON.stringify(stored) !== JSON.stringify(this.#stored)) this.#stored = stored;
    this.apply();
    const kept = { ...this.#stored, account: this.#account, unsent: this.#unsent };
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(kept));
    } catch {
      // Then they last as long as the page.
    }
  }

  /** Tells the document what its styles depend on. */
  apply(): void {
    const { dataset } = document.documentElement;
    if (this.theme === 'system') delete dataset['theme'];
    else dataset['theme'] = this.theme;
    dataset['density'] = this.density;
  }
}

export const preferences = new Preferences();
