// What keys do to the chart that has the focus: the crosshair moves from point to point, Shift selects, Enter zooms or pins.
import type { ChartGroup } from './group.svelte';
import { nearest } from './table';

/** Points that Page Up and Page Down pass over. */
const LEAP = 10;

/** Returns whether the key meant something. */
export function chartKey(event: KeyboardEvent, id: string, times: readonly number[], group: ChartGroup): boolean {
  const { span } = group;
  const first = times.findIndex((time) => time >= span.from);
  const last = times.findLastIndex((time) => time <= span.to);
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === 'Enter') return enter(group);
  if (event.key === 'Escape') return escape(group);
  const at = group.at === null ? null : nearest(times, group.at);
  const step: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -LEAP, PageDown: LEAP };
  const wanted =
    event.key === 'Home' ? first : event.key === 'End' || at === null ? last : at + (step[event.key] ?? NaN);
  const isMove = event.key in step || event.key === 'Home' || event.key === 'End';
  if (!isMove || first < 0 || last < first) return false;
  const moment = times[Math.min(Math.max(wanted, first), last)];
  if (moment === undefined) return false;
  extend(event.shiftKey, moment, group);
  group.look(id, moment, null);
  return true;
}

function extend(isExtending: boolean, moment: number, group: ChartGroup): void {
  if (!isExtending || group.at === null) {
    group.selection = null;
    return;
  }
  // The end that is not moved stays.
  const { selection, at } = group;
  const fixed = selection ? (selection.from === at ? selection.to : selection.from) : at;
  group.selection = { from: Math.min(fixed, moment), to: Math.max(fixed, moment) };
}

function enter(group: ChartGroup): boolean {
  if (group.selection) group.commit(group.selection);
  else if (group.at !== null) group.range.pin(group.pinned === group.at ? null : Math.round(group.at));
  else return false;
  return true;
}

function escape(group: ChartGroup): boolean {
  if (group.selection) group.selection = null;
  else if (group.at !== null) group.leave();
  else if (group.pinned !== null) group.range.pin(null);
  else return false;
  return true;
}
