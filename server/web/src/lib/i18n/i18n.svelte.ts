// The texts of the language in use. English comes with the page, any other when it is asked for.
import { preferences, type Language } from '../preferences.svelte';
import { en, type Messages } from './en';

const loaders: Record<Exclude<Language, 'en'>, () => Promise<Messages>> = {
  'zh-CN': async () => (await import('./zh')).zh,
};

class I18n {
  /** All texts: `i18n.t.login.title`. */
  t: Messages = $state.raw(en);
  /** The language of the texts, for `Intl` and `lang`. */
  language: Language = $state.raw('en');

  /** Uses the preferred language; stays with the one in use where that cannot be loaded. */
  async load(): Promise<void> {
    const language = preferences.language;
    const messages = language === 'en' ? en : await loaders[language]().catch(() => undefined);
    // Another may have been chosen in the meantime.
    if (!messages || language !== preferences.language) return;
    this.t = messages;
    this.language = language;
    document.documentElement.lang = language;
  }
}

export const i18n = new I18n();
