// All English texts. Their type is the form that every other language has to have.
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

export const en = { account, add, audit, common, fleet, live, login, palette, settings, shell };

export type Messages = typeof en;
