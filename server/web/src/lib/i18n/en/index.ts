// All English texts. Their type is the form that every other language has to have.
import { common } from './common';
import { login } from './login';
import { shell } from './shell';

export const en = { common, login, shell };

export type Messages = typeof en;
