// What sizes the page has now, for what cannot be said in CSS.
import { MediaQuery } from 'svelte/reactivity';
import { preferences } from '../preferences.svelte';

const phone = new MediaQuery('(max-width: 599px)');
const coarse = new MediaQuery('(pointer: coarse)');

function lengthOf(token: `--${string}`): number {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue(token));
}

export const layout = {
  get isPhone(): boolean {
    return phone.current;
  },
  /** Height of a row, in CSS pixels. */
  get rowHeight(): number {
    // What the token depends on.
    void [phone.current, coarse.current, preferences.density];
    return lengthOf('--row');
  },
};
