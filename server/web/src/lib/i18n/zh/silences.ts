import type { Messages } from '../en';
export const silences: Messages['silences'] = {};
