// All Chinese texts. A text that is missing is a type error.
import type { Messages } from '../en';
import { account } from './account';
import { add } from './add';
import { audit } from './audit';
import { common } from './common';
import { fleet } from './fleet';
import { live } from './live';
import { login } from './login';
import { palette } from './palette';
import { settings } from './settings';
import { shell } from './shell';

export const zh: Messages = {
  account,
  add,
  audit,
  common,
  fleet,
  live,
  login,
  palette,
  settings,
  shell,
};
