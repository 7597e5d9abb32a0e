// All English texts. Their type is the form that every other language has to have.
import { account } from './account';
import { add } from './add';
import { alerts } from './alerts';
import { audit } from './audit';
import { channels } from './channels';
import { chart } from './chart';
import { common } from './common';
import { families } from './families';
import { fleet } from './fleet';
import { live } from './live';
import { login } from './login';
import { machine } from './machine';
import { palette } from './palette';
import { range } from './range';
import { rules } from './rules';
import { settings } from './settings';
import { shell } from './shell';
import { silences } from './silences';

export const en = {
  account,
  add,
  alerts,
  audit,
  channels,
  chart,
  common,
  families,
  fleet,
  live,
  login,
  machine,
  palette,
  range,
  rules,
  settings,
  shell,
  silences,
};

export type Messages = typeof en;
