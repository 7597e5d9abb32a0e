// The languages of the console, each in its own words, so that whoever cannot read the present one finds theirs.
import type { Language } from '../preferences.svelte';

export const LANGUAGES: readonly [Language, string][] = [
  ['en', 'English'],
  ['zh-CN', '简体中文'],
];
