// What chart-bench.js runs in the browser.
import { assemble, lookOf, type Part } from '$lib/chart/content';
import type { Style } from '$lib/chart/axes';
import { Plot, type Picture } from '$lib/chart/plot';
import { axisUnit, xTicks } from '$lib/chart/scale';

const CHARTS = 10;
const LINES = 20;
const POINTS = 600;
const ROUNDS = 15;
const STEP_MS = 6000;

const style: Style = {
  color: () => 'rgb(46, 59, 127)',
  font: 'sans-serif',
  unit: (max) => axisUnit('percent', max, 'bytes'),
  number: String,
  xTicks: (from, to, most) => xTicks(from, to, most, () => 0),
  xLabels: ({ at }) => at.map((time) => new Date(time).toISOString().slice(11, 16)),
  onunit: () => undefined,
};

/** What an answer of the API holds; and, when asked for, what is drawn of it. */
function answer(round: number): () => Picture {
  const from = round * STEP_MS;
  const to = from + POINTS * STEP_MS;
  const hole = (i: number) => i > 300 && i < 330;
  const indices = Array.from({ length: POINTS }, (_, i) => i).filter((i) => !hole(i));
  const lines = Array.from({ length: LINES }, (_, n) => {
    const avg = indices.map((i) => 50 + 40 * Math.sin((i + round) / 40 + n));
    const [min, max] = [avg.map((value) => value - 5), avg.map((value) => value + 5)];
    return { ...lookOf(n), key: String(n), label: String(n), avg, min, max };
  });
  const part: Part = { times: indices.map((i) => from + i * STEP_MS), intervalMs: STEP_MS, lines };
  return () => {
    const assembled = assemble([part], () => false, null);
    return {
      ...assembled,
      kind: 'percent',
      mode: 'whole',
      from,
      to,
      reference: null,
      shades: [],
      bars: [],
      levels: [],
      isFilling: false,
    };
  };
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** How long it takes, with what it leaves for the next microtasks: uPlot draws in one. */
async function timed(act: () => void): Promise<number> {
  const begun = performance.now();
  act();
  await Promise.resolve();
  await Promise.resolve();
  const ms = performance.now() - begun;
  await new Promise((resolve) => requestAnimationFrame(resolve));
  return ms;
}

export async function run() {
  const plots = Array.from({ length: CHARTS }, () => {
    const host = document.body.appendChild(document.createElement('div'));
    host.style.cssText = 'position: relative; width: 600px; height: 200px; overflow: hidden';
    return new Plot(host);
  });
  const first = answer(0);
  const create = await timed(() => {
    for (const plot of plots) {
      plot.resize(600, 200);
      plot.show(first(), style);
    }
  });
  const newData: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const next = answer(round);
    newData.push(await timed(() => plots.forEach((plot) => plot.show(next(), style))));
  }
  const move: number[] = [];
  for (let i = 0; i < 100; i++) {
    const moment = (ROUNDS + (POINTS * i) / 100) * STEP_MS;
    move.push(await timed(() => plots.forEach((plot, n) => plot.crosshair(moment, n === 0))));
  }
  return { create, newData: median(newData), move: median(move) };
}
