// All Chinese texts. A text that is missing is a type error.
import type { Messages } from '../en';
import { common } from './common';
import { login } from './login';
import { shell } from './shell';

export const zh: Messages = { common, login, shell };
