// Texts that more than one page needs.
import type { Messages } from '../en';

export const common: Messages['common'] = {
  cancel: '取消',
  close: '关闭',
  copy: '复制',
  copied: '已复制',
  copyFailed: '复制失败，请手动选择并复制',
  retry: '重试',
  reload: '重新加载',
  loading: '正在加载…',
  tryAgainIn: (seconds) => `${seconds} 秒后可重试`,
  errors: {
    unreachable: '无法连接服务器。',
    unavailable: '数据库暂时不可用；代理会保留采样数据。',
    tooMany: '尝试次数过多。',
    forbidden: '您的账户没有此权限。',
    unexpected: '出现了问题。',
    requestId: '请求编号',
  },
  status: {
    online: '在线',
    offline: '离线',
    conflict: '身份冲突',
    revoked: '已吊销',
    ok: '正常',
    warning: '警告',
    critical: '严重',
    info: '信息',
    paused: '已暂停',
  },
  notFound: {
    title: '此处没有页面',
    text: '地址可能有误，或者页面已不存在。',
    home: '返回首页',
  },
  notAllowed: { title: '仅管理员可以查看', text: '请联系此 Pika 的管理员。' },
  pageBroken: '无法显示此页面。',
};
