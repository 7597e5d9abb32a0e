// All Chinese texts. A text that is missing is a type error.
import type { Messages } from '../en';
import { account } from './account';
import { add } from './add';
import { audit } from './audit';
import { chart } from './chart';
import { common } from './common';
import { fleet } from './fleet';
import { live } from './live';
import { login } from './login';
import { machine } from './machine';
import { palette } from './palette';
import { range } from './range';
import { settings } from './settings';
import { shell } from './shell';

export const zh: Messages = {
  account,
  add,
  audit,
  chart,
  common,
  fleet,
  live,
  login,
  machine,
  palette,
  range,
  settings,
  shell,
};
