// Texts of the palette and of the keys.
import type { Messages } from '../en';

export const palette: Messages['palette'] = {
  open: '搜索',
  title: '搜索与命令',
  placeholder: '主机、地址、标签、页面或操作',
  machines: '主机',
  pages: '页面',
  actions: '操作',
  results: '结果',
  nothing: '没有匹配项。',
  more: (n) => `还有 ${n} 项，请继续输入`,
  themes: { system: '主题：跟随系统', light: '主题：浅色', dark: '主题：深色' },
  densities: { compact: '密度：紧凑', comfortable: '密度：宽松' },
  showKeys: '键盘快捷键',
  keys: {
    title: '键盘快捷键',
    enabled: '启用单键快捷键',
    search: '搜索',
    palette: '搜索与命令',
    help: '键盘快捷键',
    goFleet: '前往主机列表',
    goAlerts: '前往告警',
    goAdd: '添加主机',
    goSettings: '前往设置',
    next: '下一行',
    previous: '上一行',
    peek: '在侧边显示',
    select: '选择',
    leave: '关闭或取消选择',
    or: '或',
  },
};
