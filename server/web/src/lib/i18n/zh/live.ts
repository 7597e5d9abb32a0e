// Texts about the live connection.
import type { Messages } from '../en';

export const live: Messages['live'] = {
  live: '实时',
  connecting: '连接中',
  lost: '非实时',
  notLive: '非实时',
  tryingAgain: '正在重试',
  tryingAgainIn: (seconds) => `${seconds} 秒后重试`,
  dataFrom: (time) => `数据截至 ${time}`,
  refused: '此账户无法获取实时数据。',
};
