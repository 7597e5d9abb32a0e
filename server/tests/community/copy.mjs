// COPY … FROM STDIN for a backend that cannot wait for data: it dies when it is asked to read a row that is not there.
// So the rows are collected here and handed over together with the statement that reads them.

import { build, int16 } from './protocol.mjs';

const BLANKS = String.raw`(?:\s|--[^\n]*\n|/\*[\s\S]*?\*/)*`;
const COPY_FROM_STDIN = String.raw`copy\b[^;]*\bfrom\s+stdin\b((?:[^;']|'[^']*')*)`;
const ALONE = new RegExp(`^${BLANKS}${COPY_FROM_STDIN};?${BLANKS}$`, 'i');
const AMONG_OTHERS = new RegExp(`(?:^|;)${BLANKS}${COPY_FROM_STDIN}`, 'i');

/** 'text' or 'binary' if the SQL text is one COPY … FROM STDIN, 'refused' if it holds one among other statements. */
export function copyFormat(sql) {
  const alone = ALONE.exec(sql);
  if (alone) return /\bbinary\b/i.test(alone[1]) ? 'binary' : 'text';
  return AMONG_OTHERS.test(sql) ? 'refused' : undefined;
}

/** SQL that fails in place of what cannot be run: raised by the backend, so that an open transaction fails with it. */
export const REFUSAL =
  "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', " +
  "MESSAGE = 'the bridge runs COPY FROM STDIN only as a statement of its own'; END $$";

/** One COPY under way: the message that starts it (a Query or an Execute) and the rows so far. */
export class CopyIn {
  #messages;

  constructor(start, format) {
    this.#messages = [start];
    // The number of columns is not known before the statement runs; clients do not look at it.
    this.response = build('G', Buffer.from([format === 'binary' ? 1 : 0]), int16(0));
  }

  add(message) {
    this.#messages.push(message);
  }

  fail(reason) {
    this.add(build('f', reason));
  }

  /** Everything as the backend has to find it: statement, rows, end. */
  whole() {
    return Buffer.concat(this.#messages);
  }
}
