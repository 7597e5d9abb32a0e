// The contrast of the colours, recomputed from the styles: WCAG 2.2, for both themes.
import { describe, expect, it } from 'vitest';
import css from './tokens.css?raw';

const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name = '', light = '', dark = '']) => [name, { light, dark }] as const,
  ),
);

function luminance(color: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const BACKGROUNDS = ['page', 'surface', 'raised'];
const TEXTS = ['text', 'text-2', 'text-3', 'accent', 'ok', 'warning', 'critical', 'offline', 'info'];

describe.each(['light', 'dark'] as const)('in the %s theme', (theme) => {
  const color = (name: string) => {
    const token = tokens.get(name);
    if (!token) throw new Error(`tokens.css has no colour --${name}`);
    return token[theme];
  };

  it.each(BACKGROUNDS)('all texts are read on %s', (background) => {
    for (const text of TEXTS) expect(contrast(color(text), color(background)), text).toBeGreaterThanOrEqual(4.5);
    expect(contrast(color('control-border'), color(background))).toBeGreaterThanOrEqual(3);
  });

  it('a text on the accent is read', () => {
    expect(contrast(color('on-accent'), color('accent'))).toBeGreaterThanOrEqual(4.5);
  });

  it('every series is seen on a chart', () => {
    for (const series of [1, 2, 3, 4, 5, 6]) {
      expect(contrast(color(`series-${series}`), color('surface')), `${series}`).toBeGreaterThanOrEqual(3);
    }
  });
});
