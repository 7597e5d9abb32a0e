// Texts of the range picker.
import type { Messages } from '../en';

export const range: Messages['range'] = {
  label: '时间范围',
  from: '从',
  to: '到',
  absolute: '选择时间',
  zone: (zone, offset) => `时间为 ${zone}（${offset}）。`,
  show: '显示',
  notATime: '这不是有效的时间。',
  wrongOrder: '结束时间必须晚于开始时间。',
  earlier: '更早',
  later: '更晚',
  zoomIn: '放大',
  zoomOut: '缩小',
  live: '实时',
  goLive: '跟随当前时间',
  compareWith: '对比',
  vs: { none: '不对比', day: '昨天', week: '上周' },
  vsHint: { day: '恰好早 24 小时', week: '恰好早 7 × 24 小时' },
  exportCsv: 'CSV',
  exportHint: '将所示内容保存为 CSV',
  copyLink: '此刻的链接',
  reset: '恢复预设',
};
