// Texts around every page.
import type { Messages } from '../en';

export const shell: Messages['shell'] = {
  skip: '跳到内容',
  navigation: '导航',
  add: '添加',
  settings: '设置',
  account: '账户',
  logout: '退出登录',
  theme: '主题',
  themes: { system: '跟随系统', light: '浅色', dark: '深色' },
  language: '语言',
  roles: { admin: '管理员', user: '用户' },
  unreachable: '无法连接服务器，正在重试。',
  unavailable: '数据库暂时不可用；代理会保留采样数据。正在重试。',
  newVersion: '控制台有新版本。',
};
