import type { Messages } from '../en';
export const rules: Messages['rules'] = {};
