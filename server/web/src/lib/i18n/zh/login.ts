// Texts of the login.
import type { Messages } from '../en';

export const login: Messages['login'] = {
  title: '登录',
  username: '用户名',
  password: '密码',
  submit: '登录',
  code: '验证码',
  codeHint: '设备上显示的六位数字。',
  recoveryCode: '恢复码',
  recoveryCodeHint: '每个恢复码只能使用一次。',
  useRecoveryCode: '使用恢复码',
  useDevice: '使用设备上的验证码',
  verify: '验证',
  back: '返回',
  wrongCredentials: '用户名或密码错误。',
  wrongCode: '验证码不正确，或已被使用。',
  again: '重新登录',
  againText: '会话已结束。登录后，一切保持原样。',
};
