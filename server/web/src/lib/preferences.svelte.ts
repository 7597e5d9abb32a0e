// What a person prefers, kept by this browser: language, theme, time zone, unit of rates, density,
// keyboard shortcuts.
export type Language = 'en' | 'zh-CN';
export type Theme = 'system' | 'light' | 'dark';
export type RateUnit = 'bytes' | 'bits';
export type Density = 'compact' | 'comfortable';

/** The name in the browser's storage; src/boot/theme.js reads the same. */
const STORAGE_KEY = 'pika.preferences';

interface Stored {
  language: Language | null;
  theme: Theme;
  /** An IANA name; null: the browser's. */
  zone: string | null;
  rateUnit: RateUnit;
  density: Density;
  /** Whether single keys are shortcuts. */
  singleKeys: boolean;
}

const DEFAULTS: Stored = {
  language: null,
  theme: 'system',
  zone: null,
  rateUnit: 'bytes',
  density: 'compact',
  singleKeys: true,
};

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
  };
}

function load(): Stored {
  try {
    return understand(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}') as Record<string, unknown>);
  } catch {
    return DEFAULTS;
  }
}

class Preferences {
  #stored = $state.raw(load());

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

  /** Changes some of them and keeps them, where the browser keeps anything. */
  set(changes: Partial<Stored>): void {
    this.#stored = { ...this.#stored, ...changes };
    this.apply();
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.#stored));
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
